//! `tollgate catalog check`.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use shared::config::Reader;

use super::finding::count;
use super::{EXIT_ERRORS, FileOptions, Finding, against_stripe, has_errors, name_of, read};
use crate::{answer, tool};

#[derive(Serialize)]
struct Answer {
    file: String,
    offers: usize,
    /// Whether it was compared with what Stripe's events said.
    compared: bool,
    findings: Vec<Finding>,
}

pub(super) fn main(options: &FileOptions) -> ExitCode {
    tool::run(optional_database_url, |url| run(options, url))
}

fn optional_database_url(reader: &mut Reader<'_>) -> Option<String> {
    let url = reader.secret("DATABASE_URL")?;
    if !store::is_url(&url) {
        reader.problem(shared::config::BAD_DATABASE_URL);
    }
    Some(url)
}

async fn run(options: &FileOptions, url: Option<String>) -> Result<ExitCode, Box<dyn Error>> {
    let (offers, mut findings) = read(&options.file);
    let compared = url.is_some();
    if let Some(url) = url {
        let store = tool::open(&url).await?;
        findings.extend(against_stripe(&store, &options.show.account, &offers).await?);
        store.close().await;
    }
    let answer = Answer {
        file: name_of(&options.file),
        offers: offers.len(),
        compared,
        findings,
    };
    report(options, &answer);
    Ok(ExitCode::from(if has_errors(&answer.findings) {
        EXIT_ERRORS
    } else {
        0
    }))
}

fn report(options: &FileOptions, result: &Answer) {
    if options.show.json {
        return answer(&tool::json(result));
    }
    for finding in &result.findings {
        answer(&finding.in_file(&result.file).to_string());
    }
    let compared = if result.compared {
        "compared with what Stripe's events said"
    } else {
        "not compared with Stripe's events, for DATABASE_URL is not set"
    };
    answer(&format!(
        "{}: {} offers in order, {}; {compared}",
        result.file,
        result.offers,
        count(&result.findings)
    ));
}
