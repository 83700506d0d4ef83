//! `tollgate dev`: the whole product on one machine with nothing configured.
//!
//! The order of things: [`services`] (Redis, Postgres), the schema, [`processes`] (ingest, workers and the API, each
//! a process of its own, so that one can be killed), the ready line, [`demo`], its [`summary`], and then it
//! stays up until Ctrl-C.

mod demo;
mod latency;
mod ops;
mod processes;
mod progress;
mod services;
mod stripe;
mod summary;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use shared::config::Env;
use tokio_util::sync::CancellationToken;

use crate::{EXIT_INTERRUPTED, answer, fail};
use processes::Processes;
use services::Services;
use stack::Stack;
use stripe::Stripe;

/// Longest the roles may take to get ready. A debug build on a busy machine needs a few seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest everything may take to stop after Ctrl-C.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// The part of the help that options cannot say.
pub(crate) const ENVIRONMENT: &str = "\
REDIS_URL, DATABASE_URL and STRIPE_WEBHOOK_SECRET are used when they are set, and nothing is started or made up \
in their place; without STRIPE_API_KEY the API sells through a simulated Stripe. So is every setting of `tollgate ingest`, `tollgate worker` and `tollgate api`, but for their admin addresses.

Examples:
  tollgate dev --no-demo
  tollgate dev --exit-after-demo --events 20000 --json";

/// What `tollgate dev` takes.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Options {
    /// Print one JSON object when ready, and one after the demo
    #[arg(long)]
    json: bool,
    /// Send nothing; just stay up
    #[arg(long)]
    no_demo: bool,
    /// End after the demo, with a non-zero status when something was lost
    #[arg(long, conflicts_with = "no_demo")]
    exit_after_demo: bool,
    /// Keep Redis's and Postgres's data here [default: a temporary directory, removed at the end]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Worker processes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,
    /// Distinct events the demo sends
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// Deliveries a second in the demo; 0 is as fast as they are answered
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Repeats the demo's events [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
}

/// The line for scripts.
#[derive(Serialize)]
struct Ready<'a> {
    /// The whole address to POST to.
    ingest_url: &'a str,
    /// Base of ingest's `/livez`, `/readyz` and `/metrics`.
    admin_url: &'a str,
    worker_admin_urls: Vec<&'a str>,
    /// The API's, the same.
    api_admin_url: &'a str,
    /// The ops page.
    ops_url: String,
    /// The password of `dev` there; absent where `TOLLGATE_API_OPS_USERS` says who may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    ops_password: Option<&'a str>,
    /// Base of the billing API; `/docs` describes it.
    api_url: &'a str,
    /// Where Stripe is played, with pages to pay on; absent where `STRIPE_API_KEY` names another.
    #[serde(skip_serializing_if = "Option::is_none")]
    stripe_url: Option<&'a str>,
    /// A token with the role `admin`; absent where `TOLLGATE_API_JWT_*` say who issues tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_token: Option<String>,
    webhook_secret: &'a str,
    database_url: &'a str,
    redis_url: &'a str,
    ingest_pid: u32,
    worker_pids: Vec<u32>,
    /// Where the roles log to.
    log_dir: std::borrow::Cow<'a, str>,
}

/// Runs the command.
pub(crate) fn main(options: Options) -> ExitCode {
    let env = Env::of_process();
    shared::telemetry::init_logs(
        &env.clone()
            .with("TOLLGATE_LOG_FORMAT", "text")
            .with_default("TOLLGATE_LOG", "warn"),
    );
    // Before there is a runtime, so that Ctrl-C still ends a long fetch the plain way.
    let stack = match services::start(&options, &env) {
        Ok(stack) => stack,
        Err(error) => return fail(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(session(&options, &env, stack)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => fail(&error),
    }
}

async fn session(options: &Options, env: &Env, stack: Stack) -> Result<u8, Box<dyn std::error::Error>> {
    let services = &Services::new(stack, env)?;
    let stop = shared::lifecycle::on_signals(STOP_TIMEOUT)?;
    services.look_at_redis().await?;
    services.migrate().await?;
    services.keep_states().await?;
    let stripe = Stripe::unless_configured(env).await?;
    let sells = stripe
        .as_ref()
        .map(|stripe| stripe.settings(env))
        .unwrap_or_default();
    let processes = Processes::start(options, env, services, &sells)?;
    let supervisor = processes.supervise();
    let status = tokio::select! {
        status = use_it(options, services, &processes, stripe, &stop) => status,
        () = interrupted(&stop, options) => Ok(EXIT_INTERRUPTED),
    };
    supervisor.abort();
    progress::say("stopping");
    processes.stop().await;
    status
}

/// A signal before the demo is over interrupts it; afterwards, it is how `dev` ends.
async fn interrupted(stop: &CancellationToken, options: &Options) {
    if options.exit_after_demo {
        stop.cancelled().await;
    } else {
        std::future::pending::<()>().await;
    }
}

async fn use_it(
    options: &Options,
    services: &Services,
    processes: &Processes,
    mut stripe: Option<Stripe>,
    stop: &CancellationToken,
) -> Result<u8, Box<dyn std::error::Error>> {
    tokio::select! {
        ready = processes.wait_until_ready(READY_TIMEOUT) => ready?,
        () = stop.cancelled() => return Ok(EXIT_INTERRUPTED),
    }
    if let Some(stripe) = &mut stripe {
        stripe.open(services, &processes.ingest_url).await?;
    }
    let stripe_url = stripe.as_ref().map(|stripe| stripe.url.as_str());
    announce(options, services, processes, stripe_url);
    if options.no_demo {
        stop.cancelled().await;
        return Ok(0);
    }
    let result = demo::run(options, services, processes, stop).await?;
    summary::show(options, services, processes, &result).await?;
    if options.exit_after_demo {
        return Ok(result.status());
    }
    if !stop.is_cancelled() {
        progress::say("still up; Ctrl-C ends it");
        stop.cancelled().await;
    }
    Ok(0)
}

fn announce(options: &Options, services: &Services, processes: &Processes, stripe_url: Option<&str>) {
    if options.json {
        let ready = Ready {
            ingest_url: &processes.ingest_url,
            admin_url: &processes.admin_url,
            worker_admin_urls: processes.worker_admin_urls().collect(),
            api_admin_url: processes.api_admin_url(),
            ops_url: ops_url(processes),
            ops_password: services.ops.as_ref().map(|login| login.password.as_str()),
            api_url: &processes.api_url,
            stripe_url,
            api_token: services.tokens.as_ref().map(|tokens| tokens.token("admin")),
            webhook_secret: services.secret.expose(),
            database_url: &services.database_url,
            redis_url: &services.redis_url,
            ingest_pid: processes.ingest_pid(),
            worker_pids: processes.worker_pids(),
            log_dir: services.log_dir.to_string_lossy(),
        };
        answer(&serde_json::to_string(&ready).expect("texts and integers always serialise"));
        return;
    }
    let pids: Vec<String> = processes.worker_pids().iter().map(u32::to_string).collect();
    progress::say(&format!(
        "ready: POST {} (worker processes: {})",
        processes.ingest_url,
        pids.join(", ")
    ));
    if options.no_demo {
        answer(&summary::places(services, processes));
    }
}

/// Where the ops page is.
fn ops_url(processes: &Processes) -> String {
    format!("{}/ops", processes.api_admin_url())
}
