//! Points in time, as people write and read them.

pub(crate) use shared::when::{moment, shown, shown_seconds};
