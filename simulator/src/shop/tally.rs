//! Who made what: tests want to know that one intention made one object.

use std::collections::BTreeMap;

/// Objects by kind.
pub type Counts = BTreeMap<&'static str, usize>;

/// What requests made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects that were made under each idempotency key.
    pub by_key: BTreeMap<String, Counts>,
}

impl Tally {
    pub(super) fn note(&mut self, key: &str, object: &'static str) {
        let counts = self.by_key.entry(key.to_owned()).or_default();
        *counts.entry(object).or_default() += 1;
    }
}
