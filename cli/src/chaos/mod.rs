//! `tollgate chaos`: break everything under load, and see what holds.
//!
//! The order of things, as [`run`] has it: [`selection`] says which [`faults`] there are, [`intent`] and [`plan`] when,
//! [`world`] starts what is to be broken, [`drive`] lets [`load`] send while [`deeds`] are done, and waits as
//! [`idle`](crate::idle) does, [`mod@reference`] makes what should have come of it, [`compare`], [`waits`] and [`recovery`]
//! find out what did, and [`report`] says so.

mod apart;
mod busy;
mod children;
mod clocks;
mod compare;
mod deeds;
mod drive;
mod faults;
mod intent;
mod kill;
mod load;
mod options;
mod pairs;
mod plan;
#[cfg(feature = "planted-bugs")]
mod poison;
mod recovery;
mod reference;
mod report;
mod run;
mod selection;
mod surge;
mod ties;
#[cfg(feature = "planted-bugs")]
mod versions;
mod waits;
mod wiring;
mod world;

use std::error::Error;
use std::process::ExitCode;

use shared::config::{EXIT_CONFIG, Env};
use stack::Stack;

use crate::{answer, fail, tool};
use faults::FAULTS;
use report::Report;
use selection::Selection;
use world::servers;

pub(crate) use options::{HELP, Options};

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    if options.list {
        list(options.json);
        return ExitCode::SUCCESS;
    }
    let selection = match Selection::new(options) {
        Ok(selection) => selection,
        Err(error) => {
            fail(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    shared::telemetry::init_logs(
        &Env::default()
            .with("TOLLGATE_LOG_FORMAT", "text")
            .with("TOLLGATE_LOG", "error"),
    );
    let run = move || -> Result<Report, Box<dyn Error>> {
        let stack = Stack::start(
            servers(options.data_dir.as_deref(), selection.needs_disks())
                .on_progress(|step| say(&step.to_string())),
        )?;
        tokio::runtime::Runtime::new()?.block_on(run::run(options, selection, stack))
    };
    match run() {
        Ok(report) => {
            report.show(options.json);
            ExitCode::from(u8::from(!report.held))
        }
        Err(error) => fail(&error),
    }
}

fn list(as_json: bool) {
    if as_json {
        return answer(&tool::json(&FAULTS));
    }
    let width = FAULTS.iter().map(|fault| fault.name.len()).max().unwrap_or(0);
    for fault in FAULTS {
        answer(&format!("{:<width$}  {}", fault.name, fault.about));
    }
}

fn say(text: &str) {
    eprintln!("tollgate: {text}");
}
