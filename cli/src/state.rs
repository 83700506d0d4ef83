//! `tollgate state`: what Postgres holds now, for a test or for a person.

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::{answer, tool};

/// Most users in the readable summary; `--json` has them all.
const USERS_SHOWN_MAX: usize = 50;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL. With --json the answer is one object: users, subs, invoices, payments, charges, refunds,
disputes, checkout_sessions, grants and debits, each by id, and how many events there were. It is read from one
snapshot of the database, and is meant for tests and small installations: everything is kept in memory.

Examples:
  tollgate state
  tollgate state --json --user usr_7f3a1c | jq .users

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 78 for unusable settings.";

/// What `tollgate state` takes. The database is `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Only what belongs to this user; the number of events stays that of all
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let state = store.state_of(&options.account, options.user.as_deref()).await?;
    store.close().await;
    if options.json {
        answer(&state.to_string());
    } else {
        answer(&summary(&state));
    }
    Ok(ExitCode::SUCCESS)
}

/// Users one by one, everything else as numbers.
fn summary(state: &Value) -> String {
    let empty = Map::new();
    let word = |name: &str| state[name].as_object().unwrap_or(&empty);
    let users = word("users");
    let mut lines = vec![format!("{:<18} {:>7}", "users", users.len())];
    lines.extend(users.iter().take(USERS_SHOWN_MAX).map(user_line));
    if let Some(more) = users.len().checked_sub(USERS_SHOWN_MAX).filter(|more| *more > 0) {
        lines.push(format!("  ... and {more} more; --json shows all"));
    }
    for name in COUNTED {
        lines.push(format!("{name:<18} {:>7}", word(name).len()));
    }
    let events = word("events");
    let numbers: Vec<String> = events
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    lines.push(format!(
        "{:<18} {}",
        "events",
        numbers.join(", ").replace('_', " ")
    ));
    lines.join("\n")
}

/// Words of which only the number is shown.
const COUNTED: [&str; 9] = [
    "subs",
    "invoices",
    "payments",
    "charges",
    "refunds",
    "disputes",
    "checkout_sessions",
    "grants",
    "debits",
];

fn user_line((id, user): (&String, &Value)) -> String {
    let entitled = if user["entitled"] == true {
        "entitled"
    } else {
        "not entitled"
    };
    let state = user["state"].as_str().unwrap_or("-");
    format!(
        "  {id:<24} {state:<16} {entitled:<13} {:>10} credits",
        user["credits"]
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_names_users_and_counts_the_rest() {
        let user =
            json!({"state": "active", "entitled": true, "credits": 2000, "email": "jenny@example.com"});
        let state = json!({"users": {"usr_1": user}, "subs": {"sub_1": {}},
            "events": {"deliveries": 3, "distinct": 2, "not_applied": 1}});
        let summary = summary(&state);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = summary.lines().map(words).collect();
        assert_eq!(lines[1], ["usr_1", "active", "entitled", "2000", "credits"]);
        assert!(
            lines.contains(&vec!["subs".to_owned(), "1".to_owned()]),
            "{summary}"
        );
        assert!(
            summary.ends_with("deliveries 3, distinct 2, not applied 1"),
            "{summary}"
        );
        assert!(!summary.contains("jenny"), "personal data");
    }

    #[test]
    fn many_users_are_cut_short() {
        let users: Map<String, Value> = (0..=USERS_SHOWN_MAX)
            .map(|i| (format!("usr_{i}"), json!({})))
            .collect();
        let summary = summary(&json!({"users": users}));
        assert!(summary.contains("... and 1 more; --json shows all"), "{summary}");
    }
}
