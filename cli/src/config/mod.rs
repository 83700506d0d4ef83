//! `tollgate config`: whether the settings of roles can be used, and what they are, without starting anything.

mod check;
mod redact;
mod show;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::ValueEnum;
use shared::config::{COMMON_SETTINGS, ConfigError, Env, Setting};
use shared::role::Role;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Nothing is connected to and nothing is started; `tollgate doctor` asks the servers, too.

Examples:
  tollgate config check
  tollgate config check ingest worker --json
  tollgate config show api

Exit status: 0; 2 for unusable options; 78 for unusable settings.";

/// What `tollgate config` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say everything that is wrong with the settings of roles: status 0, or 78
    #[command(after_help = check::HELP)]
    Check(check::Options),
    /// Show each setting with its value, and where that comes from; secrets are left out
    #[command(after_help = show::HELP)]
    Show(show::Options),
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match &options.command {
        Command::Check(options) => check::main(options),
        Command::Show(options) => show::main(options),
    }
}

/// A role, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Which {
    Ingest,
    Worker,
    Api,
}

impl Which {
    const ALL: [Self; 3] = [Self::Ingest, Self::Worker, Self::Api];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => ingest::Ingest::NAME,
            Self::Worker => worker::Worker::NAME,
            Self::Api => api::Api::NAME,
        }
    }

    fn own_settings(self) -> &'static [Setting] {
        match self {
            Self::Ingest => ingest::Ingest::SETTINGS,
            Self::Worker => worker::Worker::SETTINGS,
            Self::Api => api::Api::SETTINGS,
        }
    }

    /// Those of every role included.
    fn settings(self) -> impl Iterator<Item = &'static Setting> {
        self.own_settings().iter().chain(COMMON_SETTINGS)
    }

    /// Reads its settings as it would itself.
    pub(crate) fn configure(self, env: &Env) -> Result<(), ConfigError> {
        match self {
            Self::Ingest => ingest::Ingest::configure(env).map(drop),
            Self::Worker => worker::Worker::configure(env).map(drop),
            Self::Api => api::Api::configure(env).map(drop),
        }
    }

    /// Beginnings of names that nobody sets who does not mean to run it.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Ingest => &["STRIPE_WEBHOOK_SECRET", "TOLLGATE_ENDPOINT_", "TOLLGATE_INGEST_"],
            Self::Worker => &["DATABASE_URL", "TOLLGATE_WORKER_"],
            Self::Api => &["TOLLGATE_API_"],
        }
    }

    fn is_meant(self, env: &Env) -> bool {
        let is_set = |sign: &&str| env.names(sign).any(|name| env.get(name).is_some());
        self.signs().iter().any(is_set)
    }
}

/// Those that are named; without any, those of which something is set; failing that, all.
pub(crate) fn meant(named: &[Which], env: &Env) -> Vec<Which> {
    let by_signs = || Which::ALL.into_iter().filter(|role| role.is_meant(env)).collect();
    let meant: BTreeSet<Which> = if named.is_empty() {
        by_signs()
    } else {
        named.iter().copied().collect()
    };
    let meant = if meant.is_empty() {
        Which::ALL.into()
    } else {
        meant
    };
    meant.into_iter().collect()
}

/// Variables that look like ours and that no role reads.
pub(crate) fn unread(env: &Env) -> Vec<&str> {
    let known: Vec<&Setting> = Which::ALL.into_iter().flat_map(Which::settings).collect();
    let is_read = |name: &&str| known.iter().any(|setting| names(setting, name));
    env.names("TOLLGATE_").filter(|name| !is_read(name)).collect()
}

/// Whether a variable is this setting, or names the file that it is in.
fn names(setting: &Setting, variable: &str) -> bool {
    let is = |name: &str| match setting.name.split_once("<NAME>") {
        None => name == setting.name,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| rest.len() > after.len() && rest.ends_with(after)),
    };
    is(variable) || (redact::is_secret(setting) && variable.strip_suffix("_FILE").is_some_and(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(names: &[&str]) -> Env {
        names.iter().map(|name| (*name, "x")).collect()
    }

    #[test]
    fn roles_are_known_by_what_is_set_for_them() {
        let cases: [(&[&str], &[Which]); 4] = [
            (&["REDIS_URL", "DATABASE_URL_FILE"], &[Which::Worker]),
            (&["TOLLGATE_ENDPOINT_EU_SECRET"], &[Which::Ingest]),
            (
                &["DATABASE_URL", "TOLLGATE_API_ADDR"],
                &[Which::Worker, Which::Api],
            ),
            (&["REDIS_URL"], &Which::ALL),
        ];
        for (names, expected) in cases {
            assert_eq!(meant(&[], &env(names)), expected, "{names:?}");
        }
        let named = [Which::Api, Which::Ingest, Which::Api];
        assert_eq!(
            meant(&named, &env(&["DATABASE_URL"])),
            [Which::Ingest, Which::Api]
        );
    }

    #[test]
    fn variables_that_nobody_reads_are_found() {
        let env = env(&[
            "TOLLGATE_BACKLOG",
            "TOLLGATE_BACKLOG_MAX",
            "TOLLGATE_ENDPOINT_EU_TOKEN_FILE",
            "TOLLGATE_LOG_FILE",
            "PATH",
        ]);
        assert_eq!(unread(&env), ["TOLLGATE_BACKLOG", "TOLLGATE_LOG_FILE"]);
    }
}
