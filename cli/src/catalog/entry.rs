//! The entries of a catalogue file, in either of its shapes: lists of plans and packages, or one object per price.

use serde_json::Value;
use shared::suggest::hint;

use super::finding::Finding;
use super::offer::Kind;
use super::tree::{Member, Node, Table};

/// Members of the file itself.
const LISTS: [(&str, Kind); 2] = [("plan", Kind::Plan), ("package", Kind::Package)];

/// An entry, not yet understood.
#[derive(Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    /// How it is called in findings.
    pub label: String,
    /// Whether it stands under its price's id.
    pub by_price: bool,
    pub table: Table,
}

/// Finds the entries. An empty file has none, which is a mistake: it would take everything off sale.
pub(super) fn entries(file: Table) -> (Vec<Entry>, Vec<Finding>) {
    let mut findings = Vec::new();
    let is_list = |member: &Member| LISTS.iter().any(|(list, _)| *list == member.name);
    let has_lists = file.members.iter().any(is_list);
    let all_tables = file.members.iter().all(|it| matches!(it.value, Node::Table(_)));
    let entries = if !has_lists && all_tables {
        file.members.into_iter().filter_map(by_price).collect()
    } else {
        file.members
            .into_iter()
            .flat_map(|member| listed(member, &mut findings))
            .collect::<Vec<_>>()
    };
    if entries.is_empty() && findings.is_empty() {
        findings.push(Finding::error(
            None,
            None,
            "there is no [[plan]] and no [[package]], and an empty catalogue would take everything off sale",
        ));
    }
    (entries, findings)
}

fn listed(member: Member, findings: &mut Vec<Finding>) -> Vec<Entry> {
    let mut wrong = |text: String| findings.push(Finding::error(member.line, None, text));
    let Some((list, kind)) = LISTS.into_iter().find(|(list, _)| *list == member.name) else {
        let known = LISTS.map(|(list, _)| list);
        let name = &member.name;
        wrong(format!(
            "`{name}` is neither `plan` nor `package`{}",
            hint(name, &known)
        ));
        return Vec::new();
    };
    let Node::Array(nodes) = member.value else {
        wrong(format!(
            "`{list}` must be a list: write [[{list}]] above each one"
        ));
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (position, node) in nodes.into_iter().enumerate() {
        match node {
            Node::Table(table) => entries.push(Entry {
                kind,
                label: label(kind, &table, position + 1),
                by_price: false,
                table,
            }),
            _ => wrong(format!("{list} number {} is no table", position + 1)),
        }
    }
    entries
}

/// By its name; by its place where it has none.
fn label(kind: Kind, table: &Table, number: usize) -> String {
    match table.get("name").map(|member| &member.value) {
        Some(Node::Scalar(Value::String(name))) => format!("{} {name}", kind.as_str()),
        _ => format!("{} number {number}", kind.as_str()),
    }
}

/// An object that stands under its price's id: a plan when it has an interval, a package otherwise. Its name is its
/// lookup key.
fn by_price(member: Member) -> Option<Entry> {
    let Node::Table(mut table) = member.value else {
        return None;
    };
    let scalar = |name: &str, text: &str| Member {
        name: name.to_owned(),
        line: member.line,
        value: Node::Scalar(Value::from(text)),
    };
    let kind = if table.get("interval").is_some() {
        Kind::Plan
    } else {
        Kind::Package
    };
    let name = match table.get("lookup_key").map(|member| &member.value) {
        Some(Node::Scalar(Value::String(key))) => scalar("name", key),
        _ => scalar("name", &member.name),
    };
    let price = scalar("price", &member.name);
    // What is written there under these names is found to be unknown, and not lost.
    table.members.splice(0..0, [name, price]);
    Some(Entry {
        kind,
        label: format!("{} {}", kind.as_str(), member.name),
        by_price: true,
        table,
    })
}
