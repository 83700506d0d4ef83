//! TOML and JSON as one tree, with the lines where TOML has them. Nothing is lost: a member that JSON has twice is
//! there twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Finding;

/// A named member of a table.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    pub line: Option<usize>,
    pub value: Node,
}

/// A value, and what is in it.
#[derive(Debug)]
pub(super) enum Node {
    Table(Table),
    Array(Vec<Node>),
    /// Neither array nor object.
    Scalar(Value),
}

/// Members, and the line where it begins.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub line: Option<usize>,
    pub members: Vec<Member>,
}

impl Table {
    /// A member that says something: JSON's null says nothing.
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        let is_it =
            |member: &&Member| member.name == name && !matches!(member.value, Node::Scalar(Value::Null));
        self.members.iter().find(is_it)
    }
}

/// Reads TOML, and finds everything in it that is none.
pub(super) fn from_toml(text: &str) -> Result<Table, Vec<Finding>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table_of(text, table.into_inner(), 0));
    }
    let finding = |error: &toml::de::Error| {
        let line = error.span().map(|span| line_at(text, span.start));
        Finding::error(line, None, error.message())
    };
    let mut findings: Vec<Finding> = errors.iter().map(finding).collect();
    findings.sort_by_key(|finding| finding.line);
    // What follows from the first mistake of a line only confuses.
    findings.dedup_by_key(|finding| finding.line);
    Err(findings)
}

fn table_of(text: &str, table: DeTable<'_>, start: usize) -> Table {
    let mut members: Vec<Member> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let line = Some(line_at(text, key.span().start));
        members.push(Member {
            name: key.into_inner().into_owned(),
            line,
            value: node_of(text, value),
        });
    }
    members.sort_by_key(|member| member.line);
    Table {
        line: Some(line_at(text, start)),
        members,
    }
}

fn node_of(text: &str, value: Spanned<DeValue<'_>>) -> Node {
    let start = value.span().start;
    match value.into_inner() {
        DeValue::Table(table) => Node::Table(table_of(text, table, start)),
        DeValue::Array(array) => Node::Array(array.into_iter().map(|value| node_of(text, value)).collect()),
        DeValue::String(string) => Node::Scalar(Value::String(string.into_owned())),
        DeValue::Boolean(boolean) => Node::Scalar(Value::Bool(boolean)),
        DeValue::Integer(integer) => {
            let whole = i64::from_str_radix(integer.as_str(), integer.radix());
            // What no i64 holds is no number we take; as a text it is refused with its own words.
            Node::Scalar(whole.map_or_else(|_| Value::String(integer.to_string()), Value::from))
        }
        DeValue::Float(float) => Node::Scalar(Value::String(float.to_string())),
        DeValue::Datetime(datetime) => Node::Scalar(Value::String(datetime.to_string())),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Reads a JSON object.
pub(super) fn from_json(text: &str) -> Result<Table, Vec<Finding>> {
    match serde_json::from_str(text) {
        Ok(Node::Table(table)) => Ok(table),
        Ok(_) => Err(vec![Finding::error(None, None, "must be a JSON object")]),
        Err(error) => Err(vec![Finding::error(Some(error.line()), None, error.to_string())]),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut table = Table::default();
        while let Some((name, value)) = map.next_entry()? {
            let line = None;
            table.members.push(Member { name, line, value });
        }
        Ok(Node::Table(table))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(node) = seq.next_element()? {
            array.push(node);
        }
        Ok(Node::Array(array))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_keeps_its_lines() {
        let text = "# one\n\n[[plan]]\nname = \"pro\"\n\ncredits = 2_000\n\n[[plan]]\nname = \"team\"\n";
        let table = from_toml(text).expect("TOML");
        let Node::Array(plans) = &table.get("plan").expect("plans").value else {
            panic!("an array")
        };
        let lines: Vec<Option<usize>> = plans
            .iter()
            .map(|plan| match plan {
                Node::Table(table) => table.line,
                _ => None,
            })
            .collect();
        assert_eq!(lines, [Some(3), Some(8)]);
        let Node::Table(pro) = &plans[0] else {
            panic!("a table")
        };
        let credits = pro.get("credits").expect("credits");
        assert_eq!(credits.line, Some(6));
        assert!(
            matches!(&credits.value, Node::Scalar(value) if *value == 2000),
            "{credits:?}"
        );
    }

    #[test]
    fn every_line_that_is_no_toml_is_found() {
        let found = from_toml("a = \nb = 1\nc = = 2\nb = 3\n").expect_err("three mistakes");
        let lines: Vec<Option<usize>> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [Some(1), Some(3), Some(4)], "{found:?}");
    }

    #[test]
    fn json_may_say_things_twice_and_null_says_nothing() {
        let table = from_json(r#"{"a": 1, "a": 2, "b": null}"#).expect("JSON");
        assert_eq!(table.members.len(), 3);
        assert!(table.get("b").is_none());
        let found = from_json("{\n\"a\": }").expect_err("no JSON");
        assert_eq!(found[0].line, Some(2));
        assert!(from_json("[]").is_err());
    }
}
