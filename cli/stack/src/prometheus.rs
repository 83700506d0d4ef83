//! Prometheus and its `promtool`, for who checks metrics, rules and dashboards with the real thing.

use std::process::Command;

use crate::find::{Program, Wanted, locate};
use crate::progress::Reporter;
use crate::{Software, Sources, StackError};

/// The programs, which are in one directory.
#[derive(Debug, Clone)]
pub struct Prometheus(Program);

impl Prometheus {
    /// Finds them, or fetches them.
    ///
    /// # Errors
    /// [`StackError`], which says what was tried.
    pub fn find(sources: &Sources) -> Result<Self, StackError> {
        let wanted = Wanted {
            software: Software::Prometheus,
            major: None,
            user: None,
        };
        let program = locate(&wanted, sources, &Reporter::default())?;
        Ok(Self(program))
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Command {
        self.0.command()
    }

    /// The checker.
    #[must_use]
    pub fn promtool(&self) -> Command {
        self.0.sibling("promtool").command()
    }
}
