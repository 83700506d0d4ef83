//! `tollgate config show`.

use std::process::ExitCode;

use serde::Serialize;
use shared::config::{Env, Reader, Setting};

use super::{Which, meant, names, redact, unread};
use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Without roles: those of which something is set. Of a secret its kind and its length are shown, of an URL everything but
who logs in. With --json the answer is one object: settings, each with name, roles, value, from (environment, file or
default) and file; and unread, variables that begin with TOLLGATE_ and that no role reads.

Examples:
  tollgate config show
  tollgate config show worker --json | jq '.settings[] | select(.from != \"default\")'

Exit status: 0, also when settings cannot be used: `config check` says that; 2 for unusable options.";

/// What `tollgate config show` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Whose settings
    #[arg(value_enum)]
    roles: Vec<Which>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    settings: Vec<Shown>,
    unread: Vec<&'a str>,
}

/// A setting as it is.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    roles: Vec<&'static str>,
    value: String,
    from: &'static str,
    /// The file it is in.
    file: Option<String>,
}

pub(super) fn main(options: &Options) -> ExitCode {
    let env = Env::of_process();
    let result = Answer {
        settings: settings(&meant(&options.roles, &env), &env),
        unread: unread(&env),
    };
    answer(&if options.json {
        tool::json(&result)
    } else {
        in_words(&result)
    });
    ExitCode::SUCCESS
}

/// Each setting once, with those that read it.
fn settings(roles: &[Which], env: &Env) -> Vec<Shown> {
    let mut all = Vec::<Shown>::new();
    for role in roles {
        for setting in role.settings() {
            for shown in of_setting(setting, env) {
                match all.iter_mut().find(|known| known.name == shown.name) {
                    Some(known) => known.roles.push(role.name()),
                    None => all.push(Shown {
                        roles: vec![role.name()],
                        ..shown
                    }),
                }
            }
        }
    }
    all
}

/// One of them, or, of a family, one for each member that is set.
fn of_setting(setting: &Setting, env: &Env) -> Vec<Shown> {
    if !setting.name.contains("<NAME>") {
        return vec![one(setting, setting.name, env)];
    }
    let plain = |name: &str| name.strip_suffix("_FILE").unwrap_or(name).to_owned();
    let mut members: Vec<String> = env
        .names("")
        .filter(|name| names(setting, name))
        .map(plain)
        .collect();
    members.dedup();
    members.iter().map(|name| one(setting, name, env)).collect()
}

fn one(setting: &Setting, name: &str, env: &Env) -> Shown {
    let file_name = format!("{name}_FILE");
    let file = env.get(&file_name).filter(|_| redact::is_secret(setting));
    let (value, from) = match (env.get(name), file) {
        (Some(value), _) => (redact::shown(setting, value), "environment"),
        (None, Some(_)) => (in_file(setting, name, env), "file"),
        (None, None) => (setting.default.to_owned(), "default"),
    };
    Shown {
        name: name.to_owned(),
        roles: Vec::new(),
        value,
        from,
        file: file.map(str::to_owned),
    }
}

fn in_file(setting: &Setting, name: &str, env: &Env) -> String {
    match Reader::new(env).secret(name) {
        Some(value) => redact::shown(setting, &value),
        None => "cannot be read".to_owned(),
    }
}

fn in_words(result: &Answer<'_>) -> String {
    let width = result.settings.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let line = |it: &Shown| {
        let from = match &it.file {
            Some(file) => format!("{} {file}", it.from),
            None => it.from.to_owned(),
        };
        let (name, value, roles) = (&it.name, &it.value, it.roles.join(", "));
        format!("{name:<width$}  {value}  ({from}; {roles})")
    };
    let mut lines: Vec<String> = result.settings.iter().map(line).collect();
    let unread = result.unread.iter();
    lines.extend(unread.map(|name| format!("nobody reads {name}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_says_where_it_comes_from() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "postgres://u:canary@h/db\n").expect("written");
        let path = file.path().to_str().expect("utf-8");
        let env: Env = [
            ("DATABASE_URL_FILE", path),
            ("TOLLGATE_WORKER_CONCURRENCY", "8"),
            ("TOLLGATE_ENDPOINT_EU_SECRET", "whsec_canary"),
        ]
        .into_iter()
        .collect();
        let all = settings(&[Which::Ingest, Which::Worker], &env);
        let told = |name: &str| {
            let found = all.iter().find(|it| it.name == name);
            let it = found.unwrap_or_else(|| panic!("{name} is missing"));
            (it.value.as_str(), it.from, it.roles.join(" "))
        };
        assert_eq!(
            told("DATABASE_URL"),
            ("postgres://***@h/db", "file", "worker".into())
        );
        assert_eq!(
            told("TOLLGATE_WORKER_CONCURRENCY"),
            ("8", "environment", "worker".into())
        );
        let (secret, ..) = told("TOLLGATE_ENDPOINT_EU_SECRET");
        assert_eq!(secret, "whsec_*** (12 characters)");
        assert_eq!(told("REDIS_URL"), ("required", "default", "ingest worker".into()));
        assert!(
            !in_words(&Answer {
                settings: all,
                unread: vec![]
            })
            .contains("canary")
        );
    }
}
