//! Settings from the environment: all mistakes reported at once, secrets from files, nothing guessed.
//!
//! A role reads its settings through a [`Reader`], which collects problems instead of stopping at the
//! first, and ends with [`Reader::finish`]. Each role lists its settings in a `SETTINGS` table, from
//! which `--help` and a test that compares it with the README are made.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::suggest::hint;
use crate::trace;

/// Exit status for unusable configuration (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// One setting, for people.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Environment variable. `<NAME>` stands for an endpoint's name in capitals.
    pub name: &'static str,
    /// What applies when it is not set.
    pub default: &'static str,
    /// What it does, with its unit.
    pub about: &'static str,
}

/// Settings every role has.
pub const COMMON_SETTINGS: &[Setting] = &[
    Setting {
        name: "REDIS_URL",
        default: "required",
        about: "the queue, `redis://[user:password@]host:port/[db]`; or REDIS_URL_FILE",
    },
    Setting {
        name: "TOLLGATE_REDIS_PREFIX",
        default: "tollgate",
        about: "first word of every Redis key; separates installations that share a Redis",
    },
    Setting {
        name: "TOLLGATE_LOG",
        default: "info",
        about: "log filter, in `tracing` syntax such as `info,worker=debug`",
    },
    Setting {
        name: "TOLLGATE_LOG_FORMAT",
        default: "json",
        about: "`json` or `text`; logs go to stderr",
    },
    Setting {
        name: "TOLLGATE_SHUTDOWN_SECONDS",
        default: "25",
        about: "seconds a role may take to finish after SIGTERM; keep it below the supervisor's own limit",
    },
    trace::SETTINGS[0],
    trace::SETTINGS[1],
    trace::SETTINGS[2],
    trace::SETTINGS[3],
];

/// A snapshot of environment variables.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's environment. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of `name`; an empty value counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All names that start with `prefix`, in order.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(prefix))
    }

    /// The same environment with one variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same environment with one variable set, unless it is set already.
    #[must_use]
    pub fn with_default(self, name: &str, value: &str) -> Self {
        if self.get(name).is_some() {
            self
        } else {
            self.with(name, value)
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads settings and collects what is wrong with them. Values of secrets never enter a message.
#[derive(Debug)]
pub struct Reader<'a> {
    env: &'a Env,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads from `env`.
    #[must_use]
    pub fn new(env: &'a Env) -> Self {
        Self {
            env,
            problems: Vec::new(),
        }
    }

    /// The environment, for settings whose names are not known beforehand.
    #[must_use]
    pub fn env(&self) -> &'a Env {
        self.env
    }

    /// Notes a problem.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// A setting that may be absent.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.env.get(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(format!("{name}: {error}"));
                None
            }
        }
    }

    /// A setting with a default.
    pub fn or<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A number within inclusive bounds.
    pub fn number(&mut self, name: &str, default: u64, min: u64, max: u64) -> u64 {
        let value = self.or(name, default);
        if !(min..=max).contains(&value) {
            self.problem(format!("{name}: {value} is outside {min} to {max}"));
        }
        value.clamp(min, max)
    }

    /// One of a few words; the first is the default.
    pub fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> T {
        let (default, _) = words[0];
        let given: String = self.or(name, default.to_owned());
        let found = words.iter().find(|(word, _)| *word == given);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("{name}: {given:?} is none of {}", known.join(", ")));
        }
        found.unwrap_or(&words[0]).1
    }

    /// A secret that must be there: `NAME`, or the content of the file that `NAME_FILE` names.
    pub fn required_secret(&mut self, name: &str) -> String {
        self.secret(name).unwrap_or_else(|| {
            self.problem(format!("{name} is not set (nor {name}_FILE)"));
            String::new()
        })
    }

    /// A secret: `NAME`, or the content of the file that `NAME_FILE` names, without one final newline.
    pub fn secret(&mut self, name: &str) -> Option<String> {
        let file_name = format!("{name}_FILE");
        match (self.env.get(name), self.env.get(&file_name)) {
            (Some(_), Some(_)) => {
                self.problem(format!("{name} and {file_name} are both set; keep one"));
                None
            }
            (Some(value), None) => Some(value.to_owned()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()),
                Err(error) => {
                    self.problem(format!("{file_name}: cannot read {path}: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Refuses names that begin with `prefix` and are none of `own`: a setting that nobody reads would
    /// silently leave a default in place.
    pub fn refuse_unknown(&mut self, prefix: &str, own: &[&str]) {
        let unknown: Vec<&str> = self
            .env
            .names(prefix)
            .filter(|name| !own.contains(name))
            .collect();
        for name in unknown {
            self.problem(format!("{name} is no setting{}", hint(name, own)));
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(self.problems))
        }
    }
}

/// What every role needs.
#[derive(Clone)]
pub struct Common {
    /// `REDIS_URL`.
    pub redis_url: String,
    /// `TOLLGATE_REDIS_PREFIX`.
    pub redis_prefix: String,
    /// `TOLLGATE_SHUTDOWN_SECONDS`.
    pub shutdown: std::time::Duration,
}

/// Without the URL: it may hold a password.
impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("redis_prefix", &self.redis_prefix)
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

impl Common {
    /// Reads [`COMMON_SETTINGS`] (the log settings are read by [`crate::telemetry`]).
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let redis_prefix = reader.or("TOLLGATE_REDIS_PREFIX", "tollgate".to_owned());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if !redis_prefix.bytes().all(plain) {
            reader.problem("TOLLGATE_REDIS_PREFIX: use letters, digits and -_.: only");
        }
        let redis_url = reader.required_secret("REDIS_URL");
        if !redis_url.is_empty() && redis::Client::open(redis_url.as_str()).is_err() {
            // Without the parser's words: they may repeat the password.
            reader.problem("REDIS_URL: not an URL such as redis://user:password@host:6379/0");
        }
        Self {
            redis_url,
            redis_prefix,
            shutdown: std::time::Duration::from_secs(reader.number("TOLLGATE_SHUTDOWN_SECONDS", 25, 1, 3600)),
        }
    }
}

/// What is wrong with a `DATABASE_URL` that does not parse. Without the parser's words: they may repeat the password.
pub const BAD_DATABASE_URL: &str =
    "DATABASE_URL: not an URL such as postgres://user:password@host:5432/database";

/// Reads `DATABASE_URL`, which must be there. Who knows Postgres says what is an URL of it.
pub fn database_url(reader: &mut Reader<'_>, is_url: fn(&str) -> bool) -> String {
    let url = reader.required_secret("DATABASE_URL");
    if !url.is_empty() && !is_url(&url) {
        reader.problem(BAD_DATABASE_URL);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_at_once() {
        let env: Env = [("A", "x"), ("B", "11"), ("S", "1"), ("S_FILE", "/nowhere")]
            .into_iter()
            .collect();
        let mut reader = Reader::new(&env);
        assert_eq!(reader.or("A", 7_u64), 7);
        assert_eq!(reader.number("B", 1, 0, 10), 10);
        assert_eq!(reader.secret("S"), None);
        assert_eq!(reader.required_secret("T"), "");
        let error = reader.finish(()).expect_err("four problems");
        assert_eq!(error.0.len(), 4, "{error}");
    }

    #[test]
    fn secret_from_a_file_loses_one_newline() {
        let file = std::env::temp_dir().join(format!("tollgate-secret-{}", std::process::id()));
        std::fs::write(&file, "whsec_a\n\n").expect("written");
        let env: Env = [("S_FILE", file.to_str().expect("utf-8"))].into_iter().collect();
        assert_eq!(Reader::new(&env).secret("S").as_deref(), Some("whsec_a\n"));
        std::fs::remove_file(file).expect("removed");
    }

    #[test]
    fn empty_counts_as_not_set() {
        let env: Env = [("A", "")].into_iter().collect();
        assert_eq!(env.get("A"), None);
    }
}
