//! `tollgate catalog apply`.

use std::error::Error;
use std::process::ExitCode;

use domain::objects::PriceTerms;
use serde::Serialize;
use store::{OfferRow, Store, StoreError};

use super::diff::{Changes, Since, diff};
use super::finding::count;
use super::{ApplyOptions, EXIT_ERRORS, Finding, Offer, against_stripe, has_errors, name_of, read};
use crate::{answer, fail, tool};

#[derive(Serialize)]
struct Answer {
    dry_run: bool,
    file: String,
    account: String,
    #[serde(flatten)]
    changes: Changes,
    /// Warnings: with errors, nothing is applied.
    findings: Vec<Finding>,
}

pub(super) fn main(options: &ApplyOptions) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &ApplyOptions, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let file = name_of(&options.file.file);
    let account = &options.file.show.account;
    let (offers, mut findings) = read(&options.file.file);
    let store = tool::open(&url).await?;
    findings.extend(against_stripe(&store, account, &offers).await?);
    for finding in &findings {
        eprintln!("{}", finding.in_file(&file));
    }
    if has_errors(&findings) {
        fail(&format!("{file}: {}; nothing was changed", count(&findings)));
        return Ok(ExitCode::from(EXIT_ERRORS));
    }
    let changes = apply(&store, account, &offers, options.dry_run).await?;
    store.close().await;
    report(
        options,
        &Answer {
            dry_run: options.dry_run,
            file,
            account: account.clone(),
            changes,
            findings,
        },
        &offers,
    );
    Ok(ExitCode::SUCCESS)
}

/// Under one lock from the comparison to the commit: two who apply at a time do so one after the other.
async fn apply(store: &Store, account: &str, offers: &[Offer], dry_run: bool) -> Result<Changes, StoreError> {
    let mut tx = store.begin().await?;
    let changes = diff(&tx.lock_catalog(account).await?, offers);
    if !dry_run && !changes.is_empty() {
        let rows: Vec<OfferRow> = offers.iter().map(Offer::row).collect();
        let terms: Vec<PriceTerms> = changes.terms.iter().map(|new| new.terms.clone()).collect();
        tx.write_catalog(account, &rows, &terms).await?;
        tx.commit().await?;
    }
    Ok(changes)
}

fn report(options: &ApplyOptions, result: &Answer, offers: &[Offer]) {
    if options.file.show.json {
        return answer(&tool::json(result));
    }
    let changes = &result.changes;
    for offer in offers.iter().filter(|offer| changes.added.contains(&offer.name)) {
        answer(&format!(
            "+ {}  {}  {} credits",
            offer.label(),
            offer.price,
            offer.credits
        ));
    }
    for changed in &changes.changed {
        let members = changed.members.iter();
        let members: Vec<String> = members
            .map(|(name, it)| format!("{name} {} -> {}", it.from, it.to))
            .collect();
        answer(&format!("~ {}  {}", changed.name, members.join(", ")));
    }
    for name in &changes.removed {
        answer(&format!("- {name}"));
    }
    for new in &changes.terms {
        let since = match new.since {
            Since::Beginning => "whenever it was paid",
            Since::Now => "for what is paid from now on",
        };
        answer(&format!(
            "  {}: {} credits, {since}",
            new.price, new.terms.credits
        ));
    }
    answer(&in_numbers(result));
}

fn in_numbers(result: &Answer) -> String {
    let Changes {
        added,
        changed,
        removed,
        unchanged,
        terms,
    } = &result.changes;
    let did = match (result.changes.is_empty(), result.dry_run) {
        (true, _) => "nothing to change",
        (false, true) => "would be applied",
        (false, false) => "applied",
    };
    format!(
        "{}: {did}: {} offers added, {} changed, {} removed, {unchanged} unchanged; new terms for {} prices",
        result.file,
        added.len(),
        changed.len(),
        removed.len(),
        terms.len()
    )
}
