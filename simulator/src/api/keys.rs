//! API keys, and what they may do: <https://docs.stripe.com/keys>.

use std::collections::{BTreeMap, BTreeSet};

use hyper::{HeaderMap, header};

use super::{errors::Reply, form::Read};

/// A restricted key shows its last characters in messages.
const SHOWN: usize = 4;

/// What restricted keys may do, by key: permissions such as `customer_write`.
#[derive(Debug, Default)]
pub(super) struct Restrictions(BTreeMap<String, BTreeSet<String>>);

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// The key that a request names; refused when it is not of Stripe's shape.
    pub(super) fn of(headers: &'a HeaderMap) -> Read<Self> {
        let value = headers.get(header::AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let key = value
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::trim);
        match key {
            Some(key) if key.starts_with("sk_") || key.starts_with("rk_") => Ok(Self(key)),
            Some(_) => Err(Reply::unauthorized("Invalid API Key provided.")),
            None => Err(Reply::unauthorized(
                "You did not provide an API key. You need to provide your API key in the Authorization header, \
                 using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )),
        }
    }

    /// Whether it is one of live mode, in which nothing exists here.
    pub(super) fn is_live(self) -> bool {
        self.0.starts_with("sk_live_") || self.0.starts_with("rk_live_")
    }
}

impl Restrictions {
    pub(super) fn set(&mut self, key: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|permission| (*permission).to_owned());
        self.0.insert(key.to_owned(), permissions.collect());
    }

    /// Refuses what a restricted key may not do. One that nobody restricted further reads everything.
    pub(super) fn check(&self, key: Key<'_>, account: &str, resource: &str, writes: bool) -> Read<()> {
        if key.0.starts_with("sk_") {
            return Ok(());
        }
        let (read, write) = (format!("{resource}_read"), format!("{resource}_write"));
        let allowed = match self.0.get(key.0) {
            None => !writes,
            Some(granted) => granted.contains(&write) || (!writes && granted.contains(&read)),
        };
        if allowed {
            return Ok(());
        }
        let needed = if writes { &write } else { &read };
        Err(Reply::not_permitted(&masked(key.0), account, needed))
    }
}

fn masked(key: &str) -> String {
    let tail: Vec<char> = key.chars().rev().take(SHOWN).collect();
    let tail: String = tail.into_iter().rev().collect();
    let head: String = key.chars().take("rk_test_".len()).collect();
    format!("{head}*********************{tail}")
}
