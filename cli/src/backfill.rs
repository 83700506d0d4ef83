//! `tollgate backfill`: objects of Stripe's that are in no event any more, brought in list by list. Where it is, is kept, so
//! that it goes on there after it was interrupted.

use std::error::Error;
use std::process::ExitCode;

use clap::ValueEnum;
use domain::Kind;
use serde_json::{Value, json};
use shared::clock::Clock;
use store::Store;
use store::backfills::{Backfill, ListDone};
use worker::backfill::{Backfiller, LISTS, MadeSpan, Page};
use worker::reconcile::Comparer;

use crate::comparing::Settings;
use crate::when::moment;
use crate::{answer, fail, tool};

/// Exit status when objects were left out because they cannot be read.
const EXIT_LEFT_OUT: u8 = 3;
const SECOND_US: i64 = 1_000_000;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs DATABASE_URL, REDIS_URL and STRIPE_API_KEY, which must be able to read the objects and the account. Goes through
Stripe's lists behind live traffic: with the lowest priority of the fleet's budget, and only while the queue is short.
Each object is compared with what is held, and takes part when it is new or another; effects follow where workers run.
Interrupted, the same command goes on where it was. What happened within 30 days is brought in by tollgate reconcile, too.

Examples:
  tollgate backfill --dry-run
  tollgate backfill --only subscriptions,invoices --since 2024-01-01T00:00:00Z --json

Exit status: 0 when everything was gone through; 3 when objects were left out because they cannot be read; 1 when Stripe, Redis
or Postgres cannot be asked, the key is of another account, or another backfill was interrupted; 78 for unusable settings.";

/// What `tollgate backfill` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these lists
    #[arg(long, value_name = "LISTS", value_enum, value_delimiter = ',')]
    only: Vec<List>,
    /// Only objects made then or later: 2024-01-01T00:00:00Z, or how long ago: 90d
    #[arg(long, value_name = "WHEN", value_parser = said)]
    since: Option<(String, i64)>,
    /// Only objects made then or before [default: now]
    #[arg(long, value_name = "WHEN", value_parser = said)]
    until: Option<(String, i64)>,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Only count what is new and what is otherwise
    #[arg(long)]
    dry_run: bool,
    /// Begin anew, whatever was interrupted
    #[arg(long, conflicts_with = "dry_run")]
    restart: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// A list, by its name in Stripe's API.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum List {
    Customers,
    Products,
    Prices,
    Subscriptions,
    Invoices,
    CheckoutSessions,
    PaymentIntents,
    Charges,
    Refunds,
    Disputes,
}

impl List {
    fn kind(self) -> Kind {
        match self {
            Self::Customers => Kind::Customer,
            Self::Products => Kind::Product,
            Self::Prices => Kind::Price,
            Self::Subscriptions => Kind::Subscription,
            Self::Invoices => Kind::Invoice,
            Self::CheckoutSessions => Kind::CheckoutSession,
            Self::PaymentIntents => Kind::PaymentIntent,
            Self::Charges => Kind::Charge,
            Self::Refunds => Kind::Refund,
            Self::Disputes => Kind::Dispute,
        }
    }
}

/// A moment, as it was said: `90d` is another one a minute later.
fn said(text: &str) -> Result<(String, i64), String> {
    let at = moment(text).map_err(|error| error.to_string())?;
    Ok((text.to_owned(), at.div_euclid(SECOND_US)))
}

impl Options {
    /// The lists that are wanted, in the order they are gone through.
    fn lists(&self) -> Vec<Kind> {
        let wanted: Vec<Kind> = self.only.iter().map(|list| list.kind()).collect();
        let is_wanted = |kind: &Kind| wanted.is_empty() || wanted.contains(kind);
        LISTS.into_iter().filter(is_wanted).collect()
    }

    /// What is asked for; the same words go on with what was interrupted.
    fn asked(&self) -> String {
        let lists: Vec<&str> = self.lists().into_iter().map(Kind::as_str).collect();
        let said = |moment: &Option<(String, i64)>| {
            moment.as_ref().map_or_else(String::new, |(text, _)| text.clone())
        };
        format!(
            "only {} since {} until {}",
            lists.join(","),
            said(&self.since),
            said(&self.until)
        )
    }

    fn fresh(&self, clock: &Clock) -> Backfill {
        Backfill {
            asked: self.asked(),
            since: self.since.as_ref().map(|(_, at)| *at),
            until: self
                .until
                .as_ref()
                .map_or_else(|| clock.unix_seconds(), |(_, at)| *at),
        }
    }
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(Settings::read, |settings| run(options, settings))
}

async fn run(options: &Options, settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let Some(stripe) = settings.stripe else {
        return Err("STRIPE_API_KEY: required here".into());
    };
    // What answers leave open is asked for at once: there is a key.
    let store = tool::open(&settings.database_url).await?.asking(true);
    let clock = Clock::system();
    let comparer = Comparer::new(
        &settings.common,
        stripe,
        &settings.reconcile,
        store.clone(),
        clock.clone(),
    )?;
    let known = store.coverages().await?;
    let known = known.into_iter().find(|it| it.account == options.account);
    comparer
        .identify(known.and_then(|it| it.identity).as_ref())
        .await?;
    let (plan, resumed) = plan(&store, options, &clock).await?;
    let mut backfiller = Backfiller {
        comparer,
        clock,
        is_dry: options.dry_run,
    };
    let mut done = Vec::new();
    for kind in options.lists() {
        done.push((kind, list(&mut backfiller, &store, options, &plan, kind).await?));
    }
    if !options.dry_run {
        store.finish_backfill(&options.account).await?;
    }
    store.close().await;
    report(options, &plan, resumed, &done);
    let is_whole = done.iter().all(|(_, list)| list.unreadable == 0);
    Ok(ExitCode::from(if is_whole { 0 } else { EXIT_LEFT_OUT }))
}

/// What to go through, and whether it was begun before. A dry run begins nothing.
async fn plan(store: &Store, options: &Options, clock: &Clock) -> Result<(Backfill, bool), Box<dyn Error>> {
    let fresh = options.fresh(clock);
    if options.dry_run {
        return Ok((fresh, false));
    }
    match store.open_backfill(&options.account).await? {
        Some(open) if !options.restart && open.asked == fresh.asked => Ok((open, true)),
        Some(open) if !options.restart => Err(format!(
            "another backfill was interrupted ({}): run it again with its options, or begin anew with --restart",
            open.asked
        )
        .into()),
        _ => {
            store.begin_backfill(&tool::operator(&options.account), &fresh).await?;
            Ok((fresh, false))
        }
    }
}

/// Goes through a list to its end, and says how far it is after each page.
async fn list(
    backfiller: &mut Backfiller,
    store: &Store,
    options: &Options,
    plan: &Backfill,
    kind: Kind,
) -> Result<ListDone, Box<dyn Error>> {
    let account = &options.account;
    let span = MadeSpan {
        since: plan.since,
        until: plan.until,
    };
    let mut done = match options.dry_run {
        true => ListDone::default(),
        false => store.backfill_list(account, kind).await?,
    };
    while !done.is_finished {
        let page = backfiller
            .page(account, kind, span, done.after.as_deref())
            .await?;
        for id in &page.unreadable {
            eprintln!("tollgate: {} {id} cannot be read, and is left out", kind.as_str());
        }
        add(&mut done, page);
        if !options.dry_run {
            store.keep_backfill_list(account, kind, &done).await?;
        }
        let (kind, shown) = (kind.as_str(), done.shown);
        eprintln!(
            "tollgate: {kind}: {shown} shown, {} new, {} otherwise",
            done.added, done.changed
        );
    }
    Ok(done)
}

fn add(done: &mut ListDone, page: Page) {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    done.shown += count(page.shown);
    done.added += count(page.added);
    done.changed += count(page.changed);
    done.unreadable += count(page.unreadable.len());
    done.after = page.after.or(done.after.take());
    done.is_finished = page.is_last;
}

fn report(options: &Options, plan: &Backfill, resumed: bool, done: &[(Kind, ListDone)]) {
    let equal = |list: &ListDone| list.shown - list.added - list.changed - list.unreadable;
    if options.json {
        let list = |(kind, list): &(Kind, ListDone)| {
            json!({
                "kind": kind.as_str(), "shown": list.shown, "new": list.added, "differ": list.changed,
                "equal": equal(list), "unreadable": list.unreadable,
            })
        };
        let lists: Vec<Value> = done.iter().map(list).collect();
        return answer(
            &json!({
                "account": options.account, "dry_run": options.dry_run, "resumed": resumed,
                "since": plan.since, "until": plan.until, "lists": lists,
            })
            .to_string(),
        );
    }
    for (kind, list) in done {
        answer(&format!(
            "{:<17} {:>9} shown {:>9} new {:>9} otherwise {:>9} equal",
            kind.as_str(),
            list.shown,
            list.added,
            list.changed,
            equal(list)
        ));
    }
    let left_out: i64 = done.iter().map(|(_, list)| list.unreadable).sum();
    if left_out > 0 {
        fail(&format!("{left_out} objects cannot be read, and are left out"));
    }
}
