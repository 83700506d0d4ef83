//! `tollgate dead replay --dry-run`: which rows would change.

use std::error::Error;

use serde_json::{Map, Value, json};
use store::Store;
use store::dead::{Filter, Outcome};
use worker::replay::{Preview, preview};

use crate::answer;

/// Runs the oldest `limit` letters that fit, each in a transaction that is taken back, and shows what they would change.
/// Returns how many would be set aside again.
pub(super) async fn show(
    store: &Store,
    filter: &Filter,
    limit: u32,
    in_json: bool,
) -> Result<usize, Box<dyn Error>> {
    let mut tx = store.begin().await?;
    let letters = tx.dead().to_replay(filter, None, limit).await?;
    drop(tx);
    let mut again = 0;
    for letter in letters {
        let preview = preview(store, filter, letter).await?;
        again += usize::from(!is_well(&preview));
        if in_json {
            answer(&object(&preview).to_string());
        } else {
            answer(&in_words(&preview));
        }
    }
    Ok(again)
}

fn is_well(preview: &Preview) -> bool {
    matches!(&preview.outcome, Ok(outcome) if *outcome != Outcome::Parked)
}

fn object(it: &Preview) -> Value {
    let rows = it.rows.iter().map(|row| {
        let columns = row.columns.iter();
        let columns: Map<String, Value> = columns
            .map(|(name, (was, is))| (name.clone(), json!({"before": was, "after": is})))
            .collect();
        json!({"table": row.table, "key": row.key, "columns": columns})
    });
    json!({
        "id": it.id,
        "outcome": it.outcome.as_ref().map_or("parked", |outcome| outcome.as_str()),
        "why": it.why.as_deref().or(it.outcome.as_ref().err().map(String::as_str)),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn in_words(it: &Preview) -> String {
    let mut lines = vec![match (&it.outcome, &it.why) {
        (Ok(outcome), None) => format!("{}  would be {}", it.id, outcome.as_str()),
        (Ok(outcome), Some(why)) => format!("{}  would be {} again: {why}", it.id, outcome.as_str()),
        (Err(why), _) => format!("{}  would be set aside again: {why}", it.id),
    }];
    for row in &it.rows {
        lines.push(format!("  {} {}", row.table, row.key));
        for (name, (was, is)) in &row.columns {
            lines.push(format!("    {name}: {was} -> {is}"));
        }
    }
    lines.join("\n")
}
