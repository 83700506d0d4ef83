//! How a role becomes a process: settings, logs, metrics, signals, exit status. The same for the small
//! binaries and for the subcommands of `tollgate`.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{COMMON_SETTINGS, ConfigError, EXIT_CONFIG, Env, Setting};
use crate::metric::Metric;
use crate::{lifecycle, telemetry, trace};

/// Exit status for a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

/// A part of Tollgate that runs as a process of its own.
pub trait Role {
    /// Its settings, read.
    type Config;
    /// The binary's name.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const ABOUT: &'static str;
    /// Its settings, beside [`COMMON_SETTINGS`].
    const SETTINGS: &'static [Setting];
    /// Everything it counts and measures; where several parts do, each has a table.
    const METRICS: &'static [&'static [Metric]];
    /// Most threads it makes use of.
    const THREADS_MAX: usize;

    /// Reads the settings.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    fn configure(env: &Env) -> Result<Self::Config, ConfigError>;

    /// How long it may take to finish after the first signal.
    fn shutdown(config: &Self::Config) -> Duration;

    /// Works until `stop`.
    fn run(
        config: Self::Config,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<(), Box<dyn Error>>>;
}

/// `main` of a role's own binary, which takes no arguments but `--help` and `--version`.
#[must_use]
pub fn main<R: Role>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run::<R>(),
        ["-h" | "--help"] => answer(&format!(
            "{}\n\nUsage: {} [--help | --version]\n\n{}",
            R::ABOUT,
            R::NAME,
            settings_help(R::SETTINGS)
        )),
        ["-V" | "--version"] => answer(&format!("{} {}\n", R::NAME, env!("CARGO_PKG_VERSION"))),
        [unknown, ..] => {
            complain::<R>(&format!(
                "unexpected argument `{unknown}`; try `{} --help`",
                R::NAME
            ));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs a role until a signal, with settings from the environment.
#[must_use]
pub fn run<R: Role>() -> ExitCode {
    let env = Env::of_process();
    let (config, traces) = match (R::configure(&env), trace::Settings::from_env(&env)) {
        (Ok(config), Ok(traces)) => (config, traces),
        (config, traces) => {
            let problems = [config.err(), traces.err()].into_iter().flatten();
            let error = ConfigError(problems.flat_map(|ConfigError(problems)| problems).collect());
            complain::<R>(&error.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    telemetry::init_logs(&env);
    match serve::<R>(config, traces) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The settings of a role, for people.
#[must_use]
pub fn settings_help(settings: &[Setting]) -> String {
    let about =
        "Settings are environment variables; a secret may also be in a file: NAME_FILE=/path.\n".to_owned();
    settings
        .iter()
        .chain(COMMON_SETTINGS)
        .fold(about, |text, setting| {
            format!(
                "{text}\n  {} (default: {})\n      {}\n",
                setting.name, setting.default, setting.about
            )
        })
}

fn serve<R: Role>(config: R::Config, traces: Option<trace::Settings>) -> Result<(), Box<dyn Error>> {
    let metrics = telemetry::init_metrics(R::NAME, R::METRICS)?;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(R::THREADS_MAX));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = lifecycle::on_signals(R::shutdown(&config))?;
        tokio::spawn(telemetry::keep(metrics.clone()));
        if let Some(traces) = &traces {
            trace::init(R::NAME, traces)?;
        }
        let ended = R::run(config, metrics, stop).await;
        trace::finish().await;
        ended
    })
}

/// A closed pipe (`worker --help | head`) is no failure.
fn answer(text: &str) -> ExitCode {
    std::io::stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

fn complain<R: Role>(text: &str) {
    writeln!(std::io::stderr(), "{}: {text}", R::NAME).ok();
}
