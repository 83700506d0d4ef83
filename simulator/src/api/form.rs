//! The parameters of a write: form-encoded, nested with brackets.
//! Source: <https://docs.stripe.com/api/errors>.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Map, Value};

use super::errors::Reply;
use crate::query::Query;

/// Metadata may have so many keys, of so many characters, with so long values.
/// Source: <https://docs.stripe.com/api/metadata>.
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 500;

/// A refusal, or what was asked for.
pub(super) type Read<T> = Result<T, Box<Reply>>;

/// Everything a request says, and what of it was understood.
#[derive(Debug)]
pub(super) struct Form {
    query: Query,
    understood: RefCell<BTreeSet<String>>,
}

/// A part of a form, such as `line_items[0][price_data]`.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    form: &'a Form,
    path: String,
}

impl Form {
    pub(super) fn new(query: Query) -> Self {
        let understood = RefCell::default();
        Self { query, understood }
    }

    /// All of it.
    pub(super) fn root(&self) -> Part<'_> {
        Part {
            form: self,
            path: String::new(),
        }
    }

    /// Refuses what nobody asked about.
    pub(super) fn finish(&self) -> Read<()> {
        let understood = self.understood.borrow();
        let unknown = self.query.names().find(|name| !understood.contains(*name));
        unknown.map_or(Ok(()), |name| Err(Reply::unknown_parameter(name)))
    }
}

impl<'a> Part<'a> {
    /// The whole name of a parameter in this part.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}[{key}]", self.path)
        }
    }

    /// The part below a parameter.
    pub(super) fn at(&self, key: &str) -> Part<'a> {
        Part {
            form: self.form,
            path: self.name(key),
        }
    }

    /// Whether anything was said in this part.
    pub(super) fn is_there(&self) -> bool {
        self.below().next().is_some()
    }

    /// `name[0]...`, `name[1]...`, in the order of their numbers.
    pub(super) fn each(&self, key: &str) -> Vec<Part<'a>> {
        let list = self.at(key);
        let numbers: BTreeSet<u32> = list
            .below()
            .filter_map(|rest| rest.strip_prefix('[')?.split_once(']')?.0.parse().ok())
            .collect();
        numbers
            .into_iter()
            .map(|number| list.at(&number.to_string()))
            .collect()
    }

    /// `name[]`, `name[0]`, ...: plain values.
    pub(super) fn texts(&self, key: &str) -> Vec<&'a str> {
        let name = self.name(key);
        for (full, _) in self.form.query.pairs() {
            let index = full.strip_prefix(name.as_str());
            let index = index.and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            if index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit())) {
                self.understand(full);
            }
        }
        self.form.query.list(&name)
    }

    /// What follows the part's own name, for everything said in it.
    fn below(&self) -> impl Iterator<Item = &'a str> {
        let path = self.path.clone();
        self.form.query.names().filter_map(move |name| {
            name.strip_prefix(path.as_str())
                .filter(|rest| rest.starts_with('['))
        })
    }

    fn understand(&self, name: &str) {
        self.form.understood.borrow_mut().insert(name.to_owned());
    }

    /// A value, which may be empty.
    pub(super) fn raw(&self, key: &str) -> Option<&'a str> {
        let name = self.name(key);
        let value = self.form.query.get(&name)?;
        self.understand(&name);
        Some(value)
    }

    /// A value that is said and not empty.
    pub(super) fn text(&self, key: &str) -> Read<Option<&'a str>> {
        match self.raw(key) {
            Some("") => Err(Reply::empty_parameter(&self.name(key))),
            other => Ok(other),
        }
    }

    /// A value that has to be there.
    pub(super) fn needed(&self, key: &str) -> Read<&'a str> {
        self.text(key)?
            .ok_or_else(|| Reply::missing_parameter(&self.name(key)))
    }

    pub(super) fn integer(&self, key: &str) -> Read<Option<i64>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Reply::bad_integer(
                &self.name(key),
                &format!("Invalid integer: {text}"),
            )),
        }
    }

    /// An integer of at least `least`.
    pub(super) fn at_least(&self, key: &str, least: i64) -> Read<Option<i64>> {
        let number = self.integer(key)?;
        if number.is_some_and(|number| number < least) {
            let message = format!("This value must be greater than or equal to {least}.");
            return Err(Reply::bad_integer(&self.name(key), &message));
        }
        Ok(number)
    }

    pub(super) fn boolean(&self, key: &str) -> Read<Option<bool>> {
        match self.text(key)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let message = format!("Invalid boolean: {other}");
                Err(Reply::bad_parameter(&self.name(key), &message))
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        let choices: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let refuse = || {
            let message = format!("Invalid {key}: must be one of {}", choices.join(", "));
            Reply::bad_parameter(&self.name(key), &message)
        };
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(refuse)
    }

    /// An address of a web page.
    pub(super) fn url(&self, key: &str) -> Read<Option<String>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Some(text.to_owned()));
        }
        Err(Reply::bad_url(&self.name(key)))
    }

    /// Metadata as it is said: an empty value takes a key away.
    pub(super) fn metadata(&self) -> Read<Changes> {
        let part = self.at("metadata");
        let mut changes = Map::new();
        for rest in part.below() {
            let key = rest.trim_start_matches('[').trim_end_matches(']');
            let value = part.raw(key).unwrap_or_default();
            let (name, length) = (part.name(key), value.chars().count());
            if key.chars().count() > METADATA_KEY_MAX {
                let message = format!("Metadata keys can be up to {METADATA_KEY_MAX} characters long.");
                return Err(Reply::bad_parameter(&name, &message));
            }
            if length > METADATA_VALUE_MAX {
                let message = format!(
                    "Metadata values can have up to {METADATA_VALUE_MAX} characters, but you passed in a value \
                     that is {length} characters."
                );
                return Err(Reply::bad_parameter(&name, &message));
            }
            changes.insert(key.to_owned(), value.into());
        }
        if self.raw("metadata").is_some_and(str::is_empty) {
            return Ok(Changes::Clear);
        }
        if changes.len() > METADATA_KEYS_MAX {
            let message = format!("You can have up to {METADATA_KEYS_MAX} metadata keys.");
            return Err(Reply::bad_parameter("metadata", &message));
        }
        Ok(Changes::Set(changes))
    }

    /// Members that are only kept and shown: their names, and what was said.
    pub(super) fn extra(&self, keys: &[&str]) -> Read<Value> {
        let mut said = Map::new();
        for key in keys {
            if let Some(text) = self.text(key)? {
                said.insert((*key).to_owned(), text.into());
            }
        }
        Ok(said.into())
    }
}

/// What is said about metadata.
#[derive(Debug, Clone)]
pub(super) enum Changes {
    /// `metadata=`: away with all of it.
    Clear,
    /// Keys and values; an empty one takes its key away.
    Set(Map<String, Value>),
}

impl Changes {
    pub(super) fn apply(self, metadata: &mut Value) {
        let mut map = match (self, metadata.take()) {
            (Self::Set(changes), Value::Object(mut map)) => {
                map.extend(changes);
                map
            }
            (Self::Set(changes), _) => changes,
            (Self::Clear, _) => Map::new(),
        };
        map.retain(|_, value| value != "");
        *metadata = map.into();
    }

    /// As the metadata of something new.
    pub(super) fn fresh(self) -> Value {
        let mut metadata = Value::Null;
        self.apply(&mut metadata);
        metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(text: &str) -> Form {
        Form::new(Query::parse(text))
    }

    #[test]
    fn nested_parameters_are_found() {
        let form =
            form("line_items[1][price]=b&line_items%5B0%5D[price_data][currency]=usd&metadata[user_id]=u");
        let root = form.root();
        let lines = root.each("line_items");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].at("price_data").raw("currency"), Some("usd"));
        assert_eq!(lines[1].raw("price"), Some("b"));
        assert!(!lines[1].at("price_data").is_there());
        assert_eq!(root.metadata().expect("fine").fresh(), json!({"user_id": "u"}));
        assert!(form.finish().is_ok());
    }

    #[test]
    fn what_nobody_asks_about_is_refused() {
        let form = form("email=a&subscribtion_data[x]=1");
        assert_eq!(form.root().raw("email"), Some("a"));
        assert!(form.finish().is_err());
    }

    #[test]
    fn values_have_to_be_what_they_are_asked_for_as() {
        let form = form("a=&b=x&c=0&d=maybe&e=ftp://x&metadata[k]=");
        let root = form.root();
        assert!(root.text("a").is_err());
        assert!(root.needed("z").is_err());
        assert!(root.integer("b").is_err());
        assert!(root.at_least("c", 1).is_err());
        assert!(root.boolean("d").is_err());
        assert!(root.url("e").is_err());
        assert!(root.word("b", &[("y", ())]).is_err());
        assert_eq!(root.metadata().expect("fine").fresh(), json!({}));
    }
}
