//! What can go wrong, said so that the reader knows what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// The queue.
    Redis,
    /// The system of record.
    Postgres,
    /// Who looks at metrics; only tests need it.
    Prometheus,
    /// Who looks at the ops page; only tests need it.
    Chromium,
}

impl Software {
    /// The environment variable with which a user brings their own server.
    #[must_use]
    pub fn url_variable(self) -> &'static str {
        match self {
            Self::Redis => "REDIS_URL",
            Self::Postgres => "DATABASE_URL",
            Self::Prometheus => "PROMETHEUS_URL",
            Self::Chromium => "PATH",
        }
    }

    /// Lower case: names directories and logs.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Prometheus => "prometheus",
            Self::Chromium => "chromium",
        }
    }

    fn install_commands(self) -> &'static str {
        match self {
            Self::Redis => {
                "  Debian, Ubuntu:  sudo apt-get install redis-server\n  \
                   Fedora, RHEL:    sudo dnf install redis   (or valkey)\n  \
                   macOS:           brew install redis"
            }
            Self::Postgres => {
                "  Debian, Ubuntu:  sudo apt-get install postgresql\n  \
                   Fedora, RHEL:    sudo dnf install postgresql-server\n  \
                   macOS:           brew install postgresql@17"
            }
            Self::Prometheus => {
                "  Debian, Ubuntu:  sudo apt-get install prometheus\n  \
                   Fedora, RHEL:    sudo dnf install golang-github-prometheus\n  \
                   macOS:           brew install prometheus"
            }
            Self::Chromium => {
                "  Debian, Ubuntu:  sudo apt-get install chromium-headless-shell\n  \
                   Fedora, RHEL:    sudo dnf install chromium-headless\n  \
                   macOS:           brew install chromium"
            }
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "Redis",
            Self::Postgres => "Postgres",
            Self::Prometheus => "Prometheus",
            Self::Chromium => "Chromium",
        })
    }
}

/// Why a stack did not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// Neither on the machine nor in the cache, and it could not be fetched.
    #[error(
        "no usable {software} was found, and none could be fetched:\n{}\nInstall it:\n{}\nor set {} to one that runs.",
        bullets(tried), software.install_commands(), software.url_variable()
    )]
    NotFound {
        /// Which of the two.
        software: Software,
        /// Each place that was looked at, and what was wrong with it.
        tried: Vec<String>,
    },

    /// Somebody wants to fill the disk that others use, too.
    #[error("the server has no disk of its own that could be filled")]
    NoDisk,

    /// The server exited, or did not answer in time.
    #[error("{software} did not start: {reason}. The end of its log ({}):\n{tail}", log.display())]
    Start {
        /// Which of the two.
        software: Software,
        /// What was seen.
        reason: String,
        /// The whole log; gone with the temporary directory unless a data directory was given.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// Every free port that was picked was taken by someone else before the server could listen on it.
    #[error(
        "{software} found its port taken {attempts} times in a row; too many programs are opening ports on 127.0.0.1, try again"
    )]
    PortsTaken {
        /// Which of the two.
        software: Software,
        /// How many ports were tried.
        attempts: u32,
    },

    /// The server was told to stop and did not, within the limit.
    #[error("{software} (process {pid}) did not stop within {limit:?}; it was killed")]
    Stop {
        /// Which of the two.
        software: Software,
        /// Its process.
        pid: u32,
        /// How long was waited.
        limit: Duration,
    },

    /// A program that prepares a server failed.
    #[error("{doing} failed ({status}):\n{output}")]
    Tool {
        /// What it was meant to do.
        doing: &'static str,
        /// Its exit status, or that it took too long.
        status: String,
        /// What it wrote, shortened to its end.
        output: String,
    },

    /// Another process works in the data directory.
    #[error("the data directory {} is in use by another tollgate{}; stop that one, or choose another --data-dir", dir.display(), owner(*pid))]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
        /// The owner, when it could be read.
        pid: Option<u32>,
    },

    /// Started as root, and there is no user to run the servers as.
    #[error(
        "running as root, and the servers must not: there is neither a `postgres` nor a `nobody` in /etc/passwd; start tollgate as an ordinary user"
    )]
    NoServiceUser,

    /// Started as root, and the user whom the servers run as cannot get to the directory.
    #[error("{} cannot be entered by the user `{user}`, as whom the servers run because you are root; choose a directory that everyone may enter, such as /var/tmp/tollgate", dir.display())]
    Unreachable {
        /// The directory.
        dir: PathBuf,
        /// The user.
        user: String,
    },

    /// The operating system refused something.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was attempted, with its path.
        doing: String,
        /// Why it was refused.
        source: io::Error,
    },
}

fn bullets(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  - {}", line.replace('\n', "\n    ")))
        .collect::<Vec<_>>()
        .join("\n")
}

fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// `io` results that say what was attempted.
pub(crate) trait Attempt<T> {
    /// Names the attempt: `could not {doing} {path}`.
    fn to(self, doing: &str, path: &Path) -> Result<T, StackError>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn to(self, doing: &str, path: &Path) -> Result<T, StackError> {
        self.map_err(|source| StackError::Io {
            doing: format!("{doing} {}", path.display()),
            source,
        })
    }
}
