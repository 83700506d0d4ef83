//! What is wrong with a catalogue file, and where.

use std::fmt;

use serde::Serialize;

/// Whether it keeps the file from being applied.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// It does.
    Error,
    /// It does not, but a person should know.
    Warning,
}

/// One thing that is wrong.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub level: Level,
    /// From 1; JSON has none, but for what is no JSON at all.
    pub line: Option<usize>,
    /// Such as `plan pro`; absent when it is about the whole file.
    pub entry: Option<String>,
    pub text: String,
}

impl Finding {
    /// Something that keeps the file from being applied.
    pub(super) fn error(line: Option<usize>, entry: Option<&str>, text: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            line,
            entry: entry.map(str::to_owned),
            text: text.into(),
        }
    }

    /// The line for people, in the form that editors understand.
    pub(super) fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { finding: self, file }
    }
}

struct InFile<'a> {
    finding: &'a Finding,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            level,
            line,
            entry,
            text,
        } = self.finding;
        f.write_str(self.file)?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, ": {level}: ")?;
        if let Some(entry) = entry {
            write!(f, "{entry}: ")?;
        }
        f.write_str(text)
    }
}

/// Whether any of them keeps the file from being applied.
pub(super) fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}

/// How many there are, in words.
pub(super) fn count(findings: &[Finding]) -> String {
    let of = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (of(Level::Error), of(Level::Warning));
    let s = |count| if count == 1 { "" } else { "s" };
    format!("{errors} error{}, {warnings} warning{}", s(errors), s(warnings))
}
