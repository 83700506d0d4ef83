//! One thing that was looked at.

use serde::Serialize;

/// How it is, the better the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It holds.
    Ok,
    /// Nobody could look, and nobody has to.
    Skipped,
    /// It works, and something will be missed.
    Warn,
    /// It does not hold.
    Fail,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Stays the same in all builds: `redis.eviction`.
    pub name: String,
    pub verdict: Verdict,
    pub seen: String,
    /// What to do; of nothing that holds.
    pub remedy: Option<String>,
}

/// It holds.
pub(super) fn ok(name: &str, seen: impl Into<String>) -> Finding {
    finding(name, Verdict::Ok, seen.into(), None)
}

/// Nobody looked.
pub(super) fn skipped(name: &str, why: impl Into<String>) -> Finding {
    finding(name, Verdict::Skipped, why.into(), None)
}

pub(super) fn warn(name: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Finding {
    finding(name, Verdict::Warn, seen.into(), Some(remedy.into()))
}

pub(super) fn fail(name: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Finding {
    finding(name, Verdict::Fail, seen.into(), Some(remedy.into()))
}

fn finding(name: &str, verdict: Verdict, seen: String, remedy: Option<String>) -> Finding {
    Finding {
        name: name.to_owned(),
        verdict,
        seen,
        remedy,
    }
}

impl Finding {
    /// A line, and one for the remedy.
    pub(super) fn in_words(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Skipped => "skipped",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let line = format!("{verdict:<8} {:<24} {}", self.name, self.seen);
        match &self.remedy {
            Some(remedy) => format!("{line}\n{:<8} -> {remedy}", ""),
            None => line,
        }
    }
}
