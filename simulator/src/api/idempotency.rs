//! Idempotency keys: <https://docs.stripe.com/api/idempotent_requests>.
//!
//! A key belongs to an account. Its first request is carried out and its answer kept, whatever it was; later ones
//! get that answer. What was refused before it was begun leaves the key free.

use std::collections::HashMap;

use super::{errors::Reply, form::Read};

/// How long a key is remembered, seconds.
pub(super) const KEPT_SECONDS: i64 = 86_400;
/// Longest key, in characters.
const KEY_MAX: usize = 255;

/// What makes a request the same as another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    /// Method and path.
    pub(super) endpoint: String,
    /// Parameters, sorted.
    pub(super) parameters: Vec<(String, String)>,
}

#[derive(Debug)]
struct Entry {
    print: Print,
    /// The id of the first request.
    request: String,
    /// None while it is being carried out.
    answer: Option<Reply>,
    /// Unix seconds.
    begun: i64,
}

/// Account and key.
pub(super) type Name = (String, String);

/// The keys of all accounts.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<Name, Entry>);

/// What is to be done about a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is the first one.
    Begin,
    /// This was the answer to the first one.
    Replay(Reply),
}

impl Keys {
    /// A request comes with a key, at `now` (unix seconds).
    pub(super) fn begin(&mut self, name: &Name, print: Print, request: &str, now: i64) -> Read<Verdict> {
        let key = &name.1;
        if key.chars().count() > KEY_MAX {
            let message = format!("Idempotency keys can be up to {KEY_MAX} characters long.");
            return Err(Reply::other_request(&message));
        }
        self.0.retain(|_, entry| now - entry.begun < KEPT_SECONDS);
        let Some(entry) = self.0.get(name) else {
            let entry = Entry {
                print,
                request: request.to_owned(),
                answer: None,
                begun: now,
            };
            self.0.insert(name.clone(), entry);
            return Ok(Verdict::Begin);
        };
        if entry.print.endpoint != print.endpoint {
            return Err(Reply::other_request(&format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{}' \
                 vs '{}'). Try using a key other than '{key}' if you meant to execute a different request.",
                print.endpoint, entry.print.endpoint
            )));
        }
        if entry.print.parameters != print.parameters {
            return Err(Reply::other_request(&format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            )));
        }
        let Some(answer) = &entry.answer else {
            return Err(Reply::key_in_use(key));
        };
        let replay = answer.clone().with("idempotent-replayed", "true");
        Ok(Verdict::Replay(replay.with("original-request", &entry.request)))
    }

    /// The first request was carried out.
    pub(super) fn finish(&mut self, name: &Name, answer: &Reply) {
        if let Some(entry) = self.0.get_mut(name) {
            entry.answer = Some(answer.clone());
        }
    }

    /// The first request was refused before it was begun.
    pub(super) fn forget(&mut self, name: &Name) {
        self.0.remove(name);
    }
}
