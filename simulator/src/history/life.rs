//! A history that has been lived: its events, and what they amount to.

use std::collections::BTreeSet;

use super::History;
use crate::{ApiVersion, event::Event, objects::Thing, oracle::Truth};

/// One customer's life, from the first event to the last.
#[derive(Debug, Clone)]
pub struct Life {
    /// Our own id of the user (`usr_...`); no other life has it.
    pub user: String,
    /// Every version events are rendered in, in the order of their first use.
    pub versions: Vec<ApiVersion>,
    /// The version new events are rendered in at the end.
    pub version: ApiVersion,
    /// The connected account it belongs to (`acct_...`); none for the platform's own.
    pub account: Option<String>,
    /// What happened, by the names of the steps.
    pub steps: Vec<&'static str>,
    /// Every event, each once, in the order they happened; `created` never decreases.
    pub events: Vec<Event>,
    /// What an endpoint that got them all must have.
    pub truth: Truth,
    /// Objects whose newest events share a second and whose last one no rule finds: the truth about them can
    /// only be had by asking. Empty unless riddles were allowed. Some of them do not look like riddles: a debit
    /// that fails within the second it was ordered in goes back in status, and a reader whose rule is that the
    /// furthest status wins takes the wrong event without a doubt.
    pub riddles: BTreeSet<String>,
    /// Every object as it is in the end, for the API.
    pub(crate) objects: Vec<Thing>,
}

impl Life {
    /// What happened and in which versions, for the message of a failed test.
    #[must_use]
    pub fn label(&self) -> String {
        let versions: Vec<_> = self.versions.iter().map(|version| version.as_str()).collect();
        format!(
            "{} in {}: {}",
            self.user,
            versions.join(" then "),
            self.steps.join(", ")
        )
    }
}

impl History<'_> {
    /// Closes the books.
    pub(super) fn conclude(self, steps: Vec<&'static str>) -> Life {
        let user = self.customer.user_id().to_owned();
        let truth = Truth::of(&self.books, &user);
        let mut versions: Vec<_> = self.events.iter().filter_map(|event| event.version).collect();
        versions.dedup();
        Life {
            user,
            versions,
            version: self.version,
            account: self.connected.then(|| self.catalogue.account.clone()),
            steps,
            events: self.events,
            truth,
            riddles: self
                .rush
                .map(|rush| rush.ties.into_unsolved())
                .unwrap_or_default(),
            objects: self.books.into_objects().collect(),
        }
    }
}
