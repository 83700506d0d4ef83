//! `tollgate ledger outstanding`.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use shared::config::Reader;

use super::Shown;
use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
TOLLGATE_CREDITS_OUTSTANDING_MAX, when it is set as for the workers, says how many there may be before no free ones are
given. What is paid for is granted all the same.

Examples:
  tollgate ledger outstanding
  tollgate ledger outstanding --json | jq .capacity_left

Exit status: 0; 1 when Postgres cannot be asked or its schema does not suit; 78 for unusable settings.";

#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    /// What users and teams have together, less what some owe.
    outstanding: i64,
    /// How many there may be; null is no limit.
    max: Option<i64>,
    /// How many free ones may still be given; below zero when more was paid for than that.
    capacity_left: Option<i64>,
}

struct Settings {
    database_url: String,
    max: Option<i64>,
}

pub(super) fn main(options: &Shown) -> ExitCode {
    tool::run(read, |settings| run(options, settings))
}

fn read(reader: &mut Reader<'_>) -> Settings {
    Settings {
        database_url: worker::config::database_url(reader),
        max: store::policy::read(reader).outstanding_max,
    }
}

async fn run(options: &Shown, settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&settings.database_url).await?;
    let outstanding = store.outstanding(&options.account).await?;
    store.close().await;
    let result = Answer {
        account: &options.account,
        outstanding,
        max: settings.max,
        capacity_left: settings.max.map(|max| max.saturating_sub(outstanding)),
    };
    answer(&if options.json {
        tool::json(&result)
    } else {
        in_words(&result)
    });
    Ok(ExitCode::SUCCESS)
}

fn in_words(result: &Answer<'_>) -> String {
    let limit = match (result.max, result.capacity_left) {
        (Some(max), Some(left)) => format!("{left:>10}  free ones may still be given, of {max}"),
        _ => "no limit for free ones".to_owned(),
    };
    format!("{:>10}  credits are outstanding\n{limit}", result.outstanding)
}
