//! The smallest process that applies events. `tollgate worker` is the same role.

use std::process::ExitCode;

use shared::clock::Clock;
use shared::config::{COMMON_SETTINGS, EXIT_CONFIG, Env};
use worker::config::{SETTINGS, WorkerConfig};

const ABOUT: &str = "worker: claims events from Redis and applies each exactly once in effect to Postgres.\n\n\
    It takes no arguments but --help and --version. Settings (environment):\n";
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => run(),
        Some("--version" | "-V") => say(&format!("worker {}", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => say(&help()),
        Some(other) => {
            eprintln!("worker: unknown argument `{other}`; see --help");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

#[expect(clippy::print_stdout, reason = "--help and --version answer on stdout")]
fn say(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn help() -> String {
    let lines = SETTINGS.iter().chain(COMMON_SETTINGS);
    lines.fold(ABOUT.to_owned(), |text, s| {
        format!("{text}  {}\n      {} [{}]\n", s.name, s.about, s.default)
    })
}

fn run() -> ExitCode {
    let env = Env::of_process();
    let config = match WorkerConfig::from_env(&env) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("worker: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    shared::telemetry::init_logs(&env);
    match worker::run_process(config, Clock::system()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
