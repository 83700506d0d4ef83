//! `tollgate ledger check`: a round of the check that workers take all the time, now and to its end.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use store::check::{RULES, Step, Violation};
use store::{Store, StoreError};

use super::EXIT_BROKEN;
use crate::{answer, fail, tool};

/// Rows of one step: some ten milliseconds, for which workers that check wait.
const STEP_ROWS: u32 = 10_000;
/// Pause between lines that say how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Most rows shown of one rule; `--json` has them all.
const SHOWN_MAX: usize = 10;
/// Most rows asked for: more than are ever kept.
const VIOLATIONS_MAX: u32 = 100_000;

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
The rules:
  sum_is_zero          all balances of an account come to nothing
  balance_is_sum       each balance is the sum of its transfers
  grant_is_paid        nothing is granted but for something that is paid
  key_of_one_source    all transfers of a business key are of one kind of source
  source_as_noted      what is noted of a source is what its transfers come to
  debits_within_grant  no more is taken back than was granted

It may run at any time, beside workers, which check all the time and take part. Old transfers are not summed up again:
their sums are kept. --from-zero forgets these; use it now and then, and after something was mended by hand.

Examples:
  tollgate ledger check
  tollgate ledger check --from-zero --json | jq .violations

Exit status: 0 every rule holds; 1 some row breaks one, and is named, or the check could not be done; 78 for unusable
settings.";

/// What `tollgate ledger check` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Read every transfer again, instead of going on from sums that were kept
    #[arg(long)]
    from_zero: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// Whether every rule holds.
    clean: bool,
    /// How many rows break each rule. At most some thousand are kept of one.
    broken: BTreeMap<&'a str, usize>,
    violations: Vec<Row<'a>>,
    round: i64,
    took_ms: u128,
}

#[derive(Serialize)]
struct Row<'a> {
    rule: &'a str,
    /// The row: its table and what names it there.
    row: &'a str,
    detail: &'a str,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let began = Instant::now();
    let store = tool::open(&url).await?;
    let round = check(&store, options.from_zero).await?;
    let mut violations = store.violations(VIOLATIONS_MAX).await?;
    store.close().await;
    violations.sort_by_cached_key(order);
    let mut broken = BTreeMap::new();
    for it in &violations {
        *broken.entry(it.rule.as_str()).or_default() += 1;
    }
    let clean = violations.is_empty();
    report(
        options,
        &Answer {
            clean,
            broken,
            violations: violations.iter().map(row).collect(),
            round,
            took_ms: began.elapsed().as_millis(),
        },
    );
    Ok(ExitCode::from(if clean { 0 } else { EXIT_BROKEN }))
}

/// Begins a round and takes steps until it has ended, and says how far it is. Returns its number.
pub(crate) async fn check(store: &Store, from_zero: bool) -> Result<i64, StoreError> {
    let begun = store.begin_check(from_zero).await?;
    let newest = store.newest_ids().await?;
    let mut said = Instant::now();
    while !store.is_checked(&begun).await? {
        let step = store.check_step(STEP_ROWS, true).await?;
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            if let Some(step) = step {
                eprintln!("tollgate: checking {}", how_far(&step, newest));
            }
        }
    }
    Ok(begun.round)
}

fn how_far(step: &Step, (accounts, transfers): (i64, i64)) -> String {
    let newest = match step.stage.as_str() {
        "accounts" => accounts,
        "transfers" => transfers,
        other => return other.to_owned(),
    };
    format!("{}: {} of {newest}", step.stage, step.through.min(newest))
}

/// By rule, as they are listed, and by table and number.
fn order(it: &Violation) -> (usize, String, i64, String) {
    let rule = RULES.iter().position(|rule| *rule == it.rule);
    let (table, id) = it.subject.split_once(' ').unwrap_or((&it.subject, ""));
    (
        rule.unwrap_or(RULES.len()),
        table.to_owned(),
        id.parse().unwrap_or(0),
        id.to_owned(),
    )
}

fn row(it: &Violation) -> Row<'_> {
    Row {
        rule: &it.rule,
        row: &it.subject,
        detail: &it.detail,
    }
}

fn report(options: &Options, result: &Answer<'_>) {
    if options.json {
        answer(&tool::json(result));
    } else if result.clean {
        answer(&format!(
            "the ledger is true: all {} rules hold (round {}, {} ms)",
            RULES.len(),
            result.round,
            result.took_ms
        ));
    } else {
        answer(&in_words(result));
    }
    if let Some(first) = result.violations.first() {
        fail(&format!(
            "the ledger is broken: {} rows; the first is {}, which breaks {}",
            result.violations.len(),
            first.row,
            first.rule
        ));
    }
}

fn in_words(result: &Answer<'_>) -> String {
    let mut lines = Vec::new();
    for rule in RULES {
        let Some(count) = result.broken.get(rule) else {
            continue;
        };
        lines.push(format!("{rule}: {count} rows"));
        let rows = result.violations.iter().filter(|it| it.rule == rule);
        lines.extend(
            rows.take(SHOWN_MAX)
                .map(|it| format!("  {}: {}", it.row, it.detail)),
        );
        if *count > SHOWN_MAX {
            lines.push(format!("  ... and {} more; --json shows them", count - SHOWN_MAX));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_rules_and_numbers() {
        let violation = |rule: &str, subject: &str| Violation {
            rule: rule.to_owned(),
            subject: subject.to_owned(),
            detail: String::new(),
        };
        let mut list = [
            violation("source_as_noted", "money_sources invoice in_1"),
            violation("balance_is_sum", "ledger_accounts 10"),
            violation("balance_is_sum", "ledger_accounts 9"),
            violation("of the future", "row 1"),
            violation("sum_is_zero", "ledger_accounts 11"),
        ];
        list.sort_by_cached_key(order);
        let subjects: Vec<&str> = list.iter().map(|it| it.subject.as_str()).collect();
        let wanted = [
            "ledger_accounts 11",
            "ledger_accounts 9",
            "ledger_accounts 10",
            "money_sources invoice in_1",
            "row 1",
        ];
        assert_eq!(subjects, wanted);
    }

    #[test]
    fn every_rule_is_explained() {
        for rule in RULES {
            assert!(HELP.contains(&format!("\n  {rule} ")), "{rule}");
        }
    }

    #[test]
    fn progress_never_passes_the_end() {
        let step = |stage: &str, through| Step {
            stage: stage.to_owned(),
            through,
            ..Step::default()
        };
        assert_eq!(how_far(&step("accounts", 5), (9, 7)), "accounts: 5 of 9");
        assert_eq!(how_far(&step("transfers", 8), (9, 7)), "transfers: 7 of 7");
        assert_eq!(how_far(&step("sources", 0), (9, 7)), "sources");
    }
}
