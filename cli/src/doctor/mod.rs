//! `tollgate doctor`: everything that is taken for granted, looked at once, with what to do where it does not hold.
//!
//! Each part asks somebody and hands what it was told to a pure function, which judges.

mod clocks;
mod finding;
mod postgres;
mod redis;
mod settings;
mod stripe;

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Env;

use crate::config::{Which, meant};
use crate::{answer, tool};
use finding::{Finding, Verdict};

/// Exit status when something does not hold.
const EXIT_UNSOUND: u8 = 1;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Looks at settings, Redis, Postgres, clocks, and, with STRIPE_API_KEY, at the webhook endpoint at Stripe; changes nothing. Run
it with the environment of a role, on its machine. Each finding has a name that stays, a verdict (ok, warn, fail, skipped),
what was seen, and what to do. With --json the answer is one object: sound, and findings, each with name, verdict, seen
and remedy.

Examples:
  tollgate doctor
  tollgate doctor --role worker --strict
  tollgate doctor --json | jq -r '.findings[] | select(.verdict == \"fail\") | .remedy'

Exit status: 0 when nothing failed; 1 when something did, or with --strict when there are warnings; 2 for unusable options.";

/// What `tollgate doctor` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A role that is to run with these settings; may be repeated [default: those of which something is set]
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    roles: Vec<Which>,
    /// The address of the webhook endpoint at Stripe [default: those that end in our path]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Take warnings for failures
    #[arg(long)]
    strict: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    sound: bool,
    findings: Vec<Finding>,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let env = Env::of_process();
    shared::telemetry::init_logs(&env.clone().with_default("TOLLGATE_LOG", "error"));
    tool::block_on(async { Ok(report(options, examine(options, &env).await?)) })
}

async fn examine(options: &Options, env: &Env) -> Result<Vec<Finding>, Box<dyn Error>> {
    let roles = meant(&options.roles, env);
    let clock = Clock::system();
    let mut findings = settings::examine(&roles, env);
    let redis = redis::examine(&roles, env, &clock).await;
    findings.extend(redis.findings);
    findings.extend(postgres::examine(&roles, env, &clock, &redis.workers).await?);
    findings.extend(stripe::examine(env, &clock, options.endpoint.as_deref()).await);
    Ok(findings)
}

fn report(options: &Options, findings: Vec<Finding>) -> ExitCode {
    let bad = if options.strict {
        Verdict::Warn
    } else {
        Verdict::Fail
    };
    let result = Answer {
        sound: findings.iter().all(|it| it.verdict < bad),
        findings,
    };
    if options.json {
        answer(&tool::json(&result));
    } else {
        result.findings.iter().for_each(|it| answer(&it.in_words()));
    }
    ExitCode::from(if result.sound { 0 } else { EXIT_UNSOUND })
}
