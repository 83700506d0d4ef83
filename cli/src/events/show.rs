//! `tollgate events show`.

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Value, json};
use store::events::Story;

use super::{line, object};
use crate::when::shown;
use crate::{answer, fail, tool};

/// What `tollgate events show` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The event's id
    #[arg(value_name = "ID")]
    id: String,
    /// A connected account [default: the platform itself]
    #[arg(long, value_name = "ACCT", default_value = "", hide_default_value = true)]
    account: String,
    /// Also what Stripe sent, which holds personal data
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
    let story = tx.events().story(&options.account, &options.id).await?;
    let body = if options.body {
        tx.events().body(&options.account, &options.id).await?
    } else {
        None
    };
    drop(tx);
    store.close().await;
    let Some(story) = story else {
        return Ok(fail(&format!(
            "there is no event {} in the inbox; `tollgate dead show` knows what could not be read",
            options.id
        )));
    };
    if options.json {
        answer(&in_json(&story, body.as_deref()).to_string());
    } else {
        answer(&in_words(&story, body.as_deref()));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_json(story: &Story, body: Option<&str>) -> Value {
    let moments = story
        .moments
        .iter()
        .map(|it| json!({"at": shown(it.at_us), "what": it.what.as_str(), "detail": it.detail}));
    let changes = story
        .changes
        .iter()
        .map(|it| json!({"table": it.table, "key": it.key, "today": it.today}));
    let mut answer = json!({
        "event": object(&story.event),
        "moments": moments.collect::<Vec<_>>(),
        "changes": changes.collect::<Vec<_>>(),
        "related": story.related.iter().map(object).collect::<Vec<_>>(),
    });
    if let Some(body) = body {
        answer["body"] = Value::from(body);
    }
    answer
}

fn in_words(story: &Story, body: Option<&str>) -> String {
    let mut lines = vec![line(&story.event), String::new()];
    lines.extend(
        story
            .moments
            .iter()
            .map(|it| format!("{}  {:<12} {}", shown(it.at_us), it.what.as_str(), it.detail)),
    );
    let sections = [
        (
            "What it had to do with, as it is now:",
            story
                .changes
                .iter()
                .map(|it| format!("  {:<20} {:<40} {}", it.table, it.key, it.today))
                .collect::<Vec<_>>(),
        ),
        (
            "Other events of the same object:",
            story.related.iter().map(|it| format!("  {}", line(it))).collect(),
        ),
        ("Body:", body.map(str::to_owned).into_iter().collect()),
    ];
    for (title, content) in sections {
        if !content.is_empty() {
            lines.push(format!("\n{title}"));
            lines.extend(content);
        }
    }
    lines.join("\n")
}
