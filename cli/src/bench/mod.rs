//! `tollgate bench`: what it costs, side by side with what it could cost at least, in one run on one machine.
//!
//! Each part is a file: [`ingest`], [`queue`], [`worker`], [`end_to_end`], [`api`], and the long ones, [`backlog`], [`growth`] and
//! [`dead_letters`]. They start our processes ([`roles`]) on private servers ([`rig`]), send what [`load`] has made
//! beforehand, and add samples to one [`report`]. What the figures mean is in docs/benchmark.md.

mod api;
mod backlog;
mod baseline;
mod cpu;
mod days;
mod dead_letters;
mod end_to_end;
mod generator;
mod growth;
mod ingest;
mod load;
mod machine;
mod plot;
mod queue;
mod report;
mod resp;
mod rig;
mod roles;
mod scale;
mod stats;
mod stream;
mod table;
mod targets;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use shared::config::Env;
use shared::signature::Secret;
use stack::Stack;

use crate::{answer, fail};
use baseline::Work;
use machine::Machine;
use report::Report;
use rig::Rig;
use scale::Scale;

/// Anything that keeps us from measuring.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Starts a Redis and a Postgres of its own and needs nothing; what it prints is explained in docs/benchmark.md.
Use a release build, on a machine that does nothing else: cargo run --release -- bench

Examples:
  tollgate bench --quick
  tollgate bench --json > bench.json

Exit status: 0 measured, whatever the figures; 1 could not be measured.";

/// What `tollgate bench` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Everything in under a minute: for a look, not for the record
    #[arg(long)]
    quick: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
    /// Of these parts, only figures whose name contains one of these texts, such as '1000/s, everysec'
    #[arg(long, value_delimiter = ';', value_name = "TEXT")]
    matching: Vec<String>,
    /// Rounds, of which medians are taken [default: 5, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    runs: Option<u8>,
    /// Rows of the ledger that the API is measured on [default: 10000000, or 100000 with --quick]
    #[arg(long, value_name = "ROWS")]
    ledger_rows: Option<usize>,
    /// Repeats the events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also measure a backlog of so many events; 1000000 takes some minutes and 5 GB of memory
    #[arg(long, value_name = "EVENTS")]
    backlog: Option<usize>,
    /// Also measure the cost per event as tables grow to so many stored events, and print the curve as CSV
    #[arg(long, value_name = "EVENTS", num_args = 0..=1, default_missing_value = "10000000")]
    growth: Option<usize>,
    /// With --growth: write the curve to this file, as SVG
    #[arg(long, value_name = "FILE", requires = "growth")]
    plot: Option<PathBuf>,
    /// Also measure so many dead letters: finding them, and running them again
    #[arg(long, value_name = "LETTERS", num_args = 0..=1, default_missing_value = "1000000")]
    dead_letters: Option<usize>,
    /// What this process is when it plays a server that does less than ingest
    #[arg(long, hide = true, requires = "listen")]
    serve: Option<Work>,
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
}

/// What is measured unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Ingest,
    Queue,
    Worker,
    EndToEnd,
    Api,
    /// None of the above: for --backlog, --growth or --dead-letters alone
    None,
}

/// A run.
struct Bench<'a> {
    rig: &'a Rig,
    scale: Scale,
    seed: u64,
    /// Texts of which a figure's name must contain one, unless there are none.
    matching: Vec<String>,
    report: Report,
    /// What Postgres was started with.
    postgres_settings: Vec<String>,
    /// The curve of [`growth`].
    curve: Vec<growth::Point>,
}

impl Bench<'_> {
    /// Whether a figure was asked for.
    fn wants(&self, figure: &str) -> bool {
        self.matching.is_empty() || self.matching.iter().any(|text| figure.contains(text))
    }

    fn say(&self, part: &str, round: usize) {
        self.say_text(&format!("{part}, round {} of {}", round + 1, self.scale.runs));
    }

    #[expect(clippy::unused_self, reason = "whoever measures has one at hand")]
    fn say_text(&self, text: &str) {
        eprintln!("tollgate: {text}");
    }
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let load_before = machine::load();
    let env = Env::of_process()
        .with("TOLLGATE_LOG_FORMAT", "text")
        .with_default("TOLLGATE_LOG", "warn,sqlx=error");
    shared::telemetry::init_logs(&env);
    let outcome = match (options.serve, options.listen) {
        (Some(work), Some(address)) => serve(work, address, &env),
        _ => run(options, load_before),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn serve(work: Work, address: SocketAddr, env: &Env) -> Outcome<()> {
    let secret = env.get("STRIPE_WEBHOOK_SECRET").unwrap_or_default();
    Ok(baseline::serve(work, address, Secret::new(secret)?)?)
}

fn run(options: &Options, load_before: f64) -> Outcome<()> {
    let postgres_settings = rig::postgres_settings(options.growth.is_some());
    let stack = Rig::options(postgres_settings.clone());
    let stack = Stack::start(stack.on_progress(|step| eprintln!("tollgate: {step}")))?;
    let rig = Rig::start(stack)?;
    let machine = look(&rig, load_before)?;
    let mut scale = if options.quick {
        Scale::quick()
    } else {
        Scale::standard()
    };
    scale.runs = options.runs.map_or(scale.runs, usize::from);
    scale.ledger_rows = options.ledger_rows.unwrap_or(scale.ledger_rows);
    let mut bench = Bench {
        rig: &rig,
        scale,
        seed: options.seed,
        matching: options.matching.clone(),
        report: Report::default(),
        postgres_settings,
        curve: Vec::new(),
    };
    for warning in machine.warnings() {
        bench.say_text(&format!("warning: {warning}"));
        bench.report.warn(warning);
    }
    measure(options, &mut bench)?;
    let delayed = rig.delayed_syncs()?;
    if delayed > 0 {
        bench.report.warn(format!(
            "the disk was slow: {delayed} times Redis held writes back for it"
        ));
    }
    targets::judge(&mut bench.report);
    if options.json {
        answer(&in_json(options, &machine, &bench).to_string());
    } else {
        answer(&in_words(options, &machine, &bench));
    }
    Ok(())
}

fn measure(options: &Options, bench: &mut Bench<'_>) -> Outcome<()> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    if wanted(Part::Ingest) {
        ingest::run(bench)?;
    }
    if wanted(Part::Queue) {
        queue::run(bench)?;
    }
    if wanted(Part::Worker) {
        worker::run(bench)?;
    }
    if wanted(Part::EndToEnd) {
        end_to_end::run(bench)?;
    }
    if wanted(Part::Api) {
        api::run(bench)?;
    }
    if let Some(events) = options.backlog {
        backlog::run(bench, events)?;
    }
    if let Some(events) = options.growth {
        growth::run(bench, events)?;
        if let Some(file) = &options.plot {
            plot::write(file, &bench.curve)?;
        }
    }
    if let Some(letters) = options.dead_letters {
        dead_letters::run(bench, letters)?;
    }
    Ok(())
}

/// The curve of [`growth`], if there is one.
fn csv(bench: &Bench<'_>) -> Vec<String> {
    let head = (!bench.curve.is_empty()).then(|| growth::CSV.to_owned());
    head.into_iter()
        .chain(bench.curve.iter().map(growth::Point::csv))
        .collect()
}

fn look(rig: &Rig, load_before: f64) -> Outcome<Machine> {
    let store = rig.store(&rig.stack.admin_url().ok_or("no Postgres")?)?;
    let postgres = rig.runtime.block_on(store.server_version())?;
    rig.runtime.block_on(store.close());
    Machine::look(load_before, &mut rig.raw()?, postgres)
}

fn in_json(options: &Options, machine: &Machine, bench: &Bench<'_>) -> Value {
    json!({
        "machine": machine,
        "settings": settings(options, bench),
        "warnings": bench.report.warnings,
        "figures": table::rows(&bench.report),
        "growth_csv": csv(bench),
    })
}

fn settings(options: &Options, bench: &Bench<'_>) -> Value {
    json!({
        "quick": options.quick, "runs": bench.scale.runs, "seed": options.seed,
        "connections": generator::CONNECTIONS, "raw_window": stream::WINDOW,
        "redis": rig::REDIS_SETTINGS.join(" "), "postgres": bench.postgres_settings,
    })
}

fn in_words(options: &Options, machine: &Machine, bench: &Bench<'_>) -> String {
    let settings = format!(
        "  settings  {} run, {} rounds, seed {}; {} connections; Redis {}; Postgres {}",
        if options.quick { "quick" } else { "standard" },
        bench.scale.runs,
        options.seed,
        generator::CONNECTIONS,
        rig::REDIS_SETTINGS.join(" "),
        bench.postgres_settings.join(" ")
    );
    let warnings: String = bench
        .report
        .warnings
        .iter()
        .map(|text| format!("\n  WARNING   {text}"))
        .collect();
    let about = "CPU in seconds per 1000 events or requests, medians; `load` is who sends or reads for the measurement's sake";
    let csv = csv(bench).join("\n");
    format!(
        "{}\n{settings}{warnings}\n  {about}\n{}\n{csv}",
        machine.lines(),
        table::table(&bench.report)
    )
}
