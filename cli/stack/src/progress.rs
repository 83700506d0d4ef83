//! Steps that take long enough to be shown.

use std::fmt;
use std::sync::Arc;

use crate::Software;
use crate::find::Program;

/// One step of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process is fetching; this one waits for its result.
    WaitingForFetch(Software),
    /// The package lists of the machine are missing or stale; private ones are being fetched.
    UpdatingLists,
    /// Packages are being downloaded into the cache; nothing is installed.
    Downloading(Software),
    /// The downloaded packages are being unpacked.
    Unpacking(Software),
    /// A new database cluster is being made.
    CreatingCluster,
    /// The program is known and is being started.
    Starting {
        /// Which of the two.
        software: Software,
        /// For example `7.0` or `15.10`.
        version: String,
        /// Where the program came from, for example `/usr/bin/redis-server`.
        program: String,
    },
    /// It answers.
    Ready {
        /// Which of the two.
        software: Software,
        /// On 127.0.0.1.
        port: u16,
    },
}

impl Progress {
    pub(crate) fn starting(software: Software, program: &Program) -> Self {
        Self::Starting {
            software,
            version: program.version.to_string(),
            program: program.path.display().to_string(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForFetch(software) => {
                write!(f, "waiting for another process to fetch {software}")
            }
            Self::UpdatingLists => f.write_str("fetching package lists (nothing is installed)"),
            Self::Downloading(software) => write!(f, "downloading {software} (nothing is installed)"),
            Self::Unpacking(software) => write!(f, "unpacking {software} into the cache"),
            Self::CreatingCluster => f.write_str("creating a database cluster"),
            Self::Starting {
                software,
                version,
                program,
            } => {
                write!(f, "starting {software} {version} ({program})")
            }
            Self::Ready { software, port } => write!(f, "{software} answers on 127.0.0.1:{port}"),
        }
    }
}

/// Whom to tell. Every step also goes to `tracing` at debug level, with or without a listener.
#[derive(Clone, Default)]
pub struct Reporter(Option<Arc<Report>>);

type Report = dyn Fn(&Progress) + Send + Sync;

impl Reporter {
    /// Calls `report` with every step, from whichever thread makes it.
    #[must_use]
    pub fn new(report: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(report)))
    }

    pub(crate) fn tell(&self, progress: Progress) {
        tracing::debug!(step = %progress, "stack");
        if let Some(report) = &self.0 {
            report(&progress);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Reporter(listening)"
        } else {
            "Reporter(silent)"
        })
    }
}
