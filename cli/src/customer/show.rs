//! `tollgate customer show`.

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Value, json};
use store::{CustomerSeen, SubscriptionSeen, UserSeen};

use crate::when::shown_seconds;
use crate::{answer, fail, tool};

/// Exit status when nothing is known of it.
const EXIT_UNKNOWN: u8 = 1;

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Needs DATABASE_URL. Shows how the customer stands and what is known of it, without name and address.

Examples:
  tollgate customer show cus_QZ0ABCDEF
  tollgate customer show cus_QZ0ABCDEF --json | jq .subscriptions

Exit status: 0; 1 when nothing is known of it, or Postgres cannot be asked or its schema does not suit; 78 for unusable
settings.";

/// What `tollgate customer show` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Which customer: cus_...
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let Options {
        account, customer, ..
    } = options;
    let seen = store.customer(account, customer).await?;
    let known = store.known_of_customer(account, customer).await?;
    store.close().await;
    let Some(seen) = seen else {
        fail(&format!(
            "nothing is known of {customer}; `tollgate customer resync` asks Stripe"
        ));
        return Ok(ExitCode::from(EXIT_UNKNOWN));
    };
    if options.json {
        answer(&object(customer, &seen, &known).to_string());
    } else {
        answer(&in_words(customer, &seen, &known));
    }
    Ok(ExitCode::SUCCESS)
}

fn object(id: &str, seen: &CustomerSeen, known: &[(String, i64)]) -> Value {
    let user = seen.user.as_ref().map(|user| {
        json!({"id": user.id, "state": user.state, "entitled": user.entitled, "credits": user.credits})
    });
    let subscriptions = seen.subscriptions.iter().map(|it| {
        json!({"id": it.id, "status": it.status, "state": it.state, "cancel_at_period_end": it.cancel_at_period_end,
               "current_period_end": it.current_period_end.map(shown_seconds)})
    });
    let known = known.iter().map(|(kind, count)| (kind.clone(), json!(count)));
    json!({
        "id": id, "livemode": seen.livemode, "deleted": seen.deleted, "delinquent": seen.delinquent, "user": user,
        "subscriptions": subscriptions.collect::<Vec<_>>(), "known": Value::Object(known.collect()),
    })
}

fn in_words(id: &str, seen: &CustomerSeen, known: &[(String, i64)]) -> String {
    let mode = if seen.livemode { "live" } else { "test" };
    let marks = [
        (seen.deleted, ", deleted"),
        (seen.delinquent == Some(true), ", delinquent"),
    ];
    let marks: String = marks
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| *word)
        .collect();
    let user = seen.user.as_ref();
    let mut lines = vec![
        format!("{id} ({mode}{marks})"),
        user.map_or_else(|| "  no user is known of it".to_owned(), user_line),
    ];
    lines.extend(seen.subscriptions.iter().map(subscription_line));
    let known = known.iter().map(|(kind, count)| format!("{kind} {count}"));
    lines.push(format!("  known: {}", known.collect::<Vec<_>>().join(", ")));
    lines.join("\n")
}

fn user_line(user: &UserSeen) -> String {
    let entitled = if user.entitled { "entitled" } else { "not entitled" };
    let state = user.state.as_deref().unwrap_or("not reckoned yet");
    format!(
        "  user {}: {state}, {entitled}, {} credits",
        user.id, user.credits
    )
}

fn subscription_line(it: &SubscriptionSeen) -> String {
    let (status, state) = (
        it.status.as_deref().unwrap_or("-"),
        it.state.as_deref().unwrap_or("-"),
    );
    let end = it
        .current_period_end
        .map_or_else(|| "-".to_owned(), shown_seconds);
    let ends = if it.cancel_at_period_end {
        ", then ends"
    } else {
        ""
    };
    format!(
        "  {} {status} (here {state}), paid period until {end}{ends}",
        it.id
    )
}
