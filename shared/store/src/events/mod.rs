//! Finding events in the inbox, and telling one event's story. Reads only.

mod find;
mod story;

use sqlx::PgConnection;

pub use find::{EventFilter, EventLine, EventPage, SCANNED_MAX};
pub use story::{Change, Moment, Story, What};

use crate::Tx;
use crate::api::ActingTx;

/// Events, as whoever holds the transaction may see them.
pub struct Events<'a>(&'a mut PgConnection);

impl Tx {
    /// Events, as an operator.
    pub fn events(&mut self) -> Events<'_> {
        Events(&mut self.0)
    }
}

impl ActingTx {
    /// Events, as the actor.
    pub fn events(&mut self) -> Events<'_> {
        Events(self.connection())
    }
}
