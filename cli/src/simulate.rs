//! `tollgate simulate`: a hostile Stripe for any endpoint, ours or yours.

mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use serde::Serialize;
use shared::clock::Clock;
use shared::signature::Secret;
use simulator::ApiVersion;
use simulator::sender::{Fate, Outcome, Pace, Report, Sender, Settings};
use simulator::traffic::{Plan, Traffic};
use tokio::sync::mpsc;

use crate::{EXIT_INTERRUPTED, answer, fail};

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Examples:
  tollgate simulate --secret whsec_dev --events 5000 --rate 200 --json
  tollgate simulate --dry-run --seed 42 --json
  tollgate simulate --serve 127.0.0.1:4242 --secret whsec_dev";

/// What `tollgate simulate` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The endpoint, a plain http address
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/stripe")]
    url: String,
    /// Signing secrets, comma-separated; several sign as while one is being rolled
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_delimiter = ','
    )]
    secret: Vec<String>,
    /// Distinct events to send
    #[arg(long, default_value_t = 1_000)]
    events: usize,
    /// Repeats a run: the same seed and start make the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Unix seconds up to which the events' histories reach [default: now]
    #[arg(long)]
    start: Option<i64>,
    /// Deliveries a second [default: as fast as they are answered]
    #[arg(long)]
    rate: Option<f64>,
    /// Share of deliveries that repeat an earlier one
    #[arg(long, default_value_t = 0.1)]
    duplicates: f64,
    /// How many deliveries an event may fall behind its neighbours
    #[arg(long, default_value_t = 20)]
    reorder: usize,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Play Stripe at this address instead: an API to write to, pages to pay on, and the webhooks that follow
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["dry_run", "events", "rate", "duplicates", "reorder"])]
    serve: Option<SocketAddr>,
    /// With --serve: the API version of the account [default: the newest]
    #[arg(long, requires = "serve", value_parser = version)]
    api_version: Option<ApiVersion>,
    /// With --serve: send events late, repeated and out of order
    #[arg(long, requires = "serve")]
    hostile: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    seed: u64,
    start: i64,
    deliveries: usize,
    distinct: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<BTreeMap<String, usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<usize>,
    /// How often which last answer came for what was given up; 0 is none at all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refusals: BTreeMap<u16, usize>,
}

/// One of the versions we render.
fn version(text: &str) -> Result<ApiVersion, String> {
    let known = ApiVersion::ALL
        .into_iter()
        .find(|version| version.as_str() == text);
    let all = ApiVersion::ALL.map(ApiVersion::as_str).join(", ");
    known.ok_or_else(|| format!("one of {all}"))
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    if let Some(address) = options.serve {
        return serve::main(options, address);
    }
    let start = options.start.unwrap_or_else(|| Clock::system().unix_seconds());
    let plan = Plan {
        duplicates: options.duplicates,
        reorder: options.reorder,
        ..Plan::new(options.seed, options.events, start)
    };
    let traffic = plan.traffic();
    let mut result = Answer {
        seed: options.seed,
        start,
        deliveries: traffic.deliveries.len(),
        distinct: traffic.event_ids().len(),
        types: options.dry_run.then(|| types(&traffic)),
        accepted: None,
        given_up: None,
        refusals: BTreeMap::new(),
    };
    if options.dry_run {
        report(options, &result);
        return ExitCode::SUCCESS;
    }
    let (report_of, refusals) = match send(options, traffic) {
        Ok(sent) => sent,
        Err(error) => return fail(&error),
    };
    result.accepted = Some(report_of.accepted);
    result.given_up = Some(report_of.given_up);
    result.refusals = refusals;
    report(options, &result);
    match report_of {
        Report { stopped, unsent, .. } if stopped + unsent > 0 => ExitCode::from(EXIT_INTERRUPTED),
        Report { given_up, .. } if given_up > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn types(traffic: &Traffic) -> BTreeMap<String, usize> {
    traffic.distinct().fold(BTreeMap::new(), |mut types, event| {
        *types.entry(event.kind.clone()).or_default() += 1;
        types
    })
}

/// What became of all deliveries, and the last answers to those that were given up.
type Sent = (Report, BTreeMap<u16, usize>);

fn send(options: &Options, traffic: Traffic) -> Result<Sent, Box<dyn std::error::Error>> {
    let secrets = options
        .secret
        .iter()
        .map(Secret::new)
        .collect::<Result<Vec<_>, _>>()?;
    let pace = options.rate.map_or(Pace::Unlimited, Pace::PerSecond);
    let sender = Sender::new(
        &options.url,
        secrets,
        Settings {
            pace,
            ..Settings::default()
        },
    )?;
    let runtime = tokio::runtime::Runtime::new()?;
    Ok(runtime.block_on(async {
        let (sink, mut outcomes) = mpsc::unbounded_channel::<Outcome>();
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        let refusals = async {
            let mut refusals = BTreeMap::new();
            while let Some(outcome) = outcomes.recv().await {
                if outcome.fate == Fate::GivenUp {
                    *refusals.entry(outcome.status.unwrap_or(0)).or_default() += 1;
                }
            }
            refusals
        };
        let (report, refusals) = tokio::join!(sender.send(traffic.deliveries, sink, stop), refusals);
        (report, refusals)
    }))
}

fn report(options: &Options, result: &Answer) {
    if options.json {
        return answer(&serde_json::to_string(result).expect("integers and texts always serialise"));
    }
    for (event_type, count) in result.types.iter().flatten() {
        answer(&format!("{count:>8}  {event_type}"));
    }
    let verb = if options.dry_run { "would send" } else { "sent" };
    let mut line = format!(
        "{verb} {} deliveries of {} events (--seed {} --start {})",
        result.deliveries, result.distinct, result.seed, result.start
    );
    if let (Some(accepted), Some(given_up)) = (result.accepted, result.given_up) {
        line += &format!(": {accepted} accepted, {given_up} given up");
    }
    answer(&line);
    for (status, count) in &result.refusals {
        answer(&format!("{count:>8}  given up: {}", meaning(*status)));
    }
}

/// What an answer says about the sender.
fn meaning(status: u16) -> String {
    let hint = match status {
        0 => return "no answer; is anything listening there?".to_owned(),
        400 => "; is it the endpoint's own secret?",
        404 => "; is it the whole address, with the path?",
        503 => "; it does not accept now, and its /readyz says why",
        _ => "",
    };
    format!("status {status}{hint}")
}
