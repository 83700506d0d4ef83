//! `tollgate dead show`.

use std::error::Error;
use std::process::ExitCode;

use serde_json::Value;
use store::dead::{Body, Filter, LetterState};

use super::object;
use crate::{answer, fail, tool};

/// What `tollgate dead show` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The letter's id: that of its event, or `raw:...`
    #[arg(value_name = "ID")]
    id: String,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Also what came in, which holds personal data
    #[arg(long)]
    body: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let mut tx = store.begin().await?;
    let Some(letter) = tx.dead().letter(&options.account, &options.id).await? else {
        return Ok(fail(&format!("there is no dead letter {}", options.id)));
    };
    let mut shown = object(&letter);
    if options.body {
        let filter = Filter {
            account: options.account.clone(),
            state: LetterState::parse(&letter.state).unwrap_or_default(),
            ids: vec![letter.id.clone()],
            ..Filter::default()
        };
        let found = tx.dead().to_replay(&filter, None, 1).await?;
        let mut bytes = found.into_iter().map(|it| match it.body {
            Body::Event(bytes) | Body::Fields(bytes) => bytes,
        });
        let bytes = bytes.next().unwrap_or_default();
        shown["body"] = Value::from(String::from_utf8_lossy(&bytes).into_owned());
    }
    drop(tx);
    store.close().await;
    if options.json {
        answer(&shown.to_string());
    } else {
        answer(&in_words(&shown));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(letter: &Value) -> String {
    let members = letter.as_object().into_iter().flatten();
    let lines = members.map(|(name, value)| match value {
        Value::String(text) => format!("{name:<12} {text}"),
        other => format!("{name:<12} {other}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
