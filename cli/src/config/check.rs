//! `tollgate config check`.

use std::process::ExitCode;

use serde::Serialize;
use shared::config::{EXIT_CONFIG, Env};

use super::{Which, meant, unread};
use crate::{answer, tool};

/// The part of the help that options cannot say.
pub(super) const HELP: &str = "\
Reads the environment as each role would. Without roles: those of which something is set. With --json the answer is one
object: usable, roles (each with role, usable, problems) and unread, variables that begin with TOLLGATE_ and that no role
reads.

Examples:
  tollgate config check
  tollgate config check worker --json | jq .roles[].problems

Exit status: 0 all can be used; 2 for unusable options; 78 not all can.";

/// What `tollgate config check` takes.
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
    usable: bool,
    roles: Vec<Verdict>,
    unread: Vec<&'a str>,
}

#[derive(Serialize)]
struct Verdict {
    role: &'static str,
    usable: bool,
    problems: Vec<String>,
}

pub(super) fn main(options: &Options) -> ExitCode {
    let env = Env::of_process();
    let roles: Vec<Verdict> = meant(&options.roles, &env)
        .into_iter()
        .map(|role| verdict(role, &env))
        .collect();
    let result = Answer {
        usable: roles.iter().all(|role| role.usable),
        roles,
        unread: unread(&env),
    };
    answer(&if options.json {
        tool::json(&result)
    } else {
        in_words(&result)
    });
    ExitCode::from(if result.usable { 0 } else { EXIT_CONFIG })
}

fn verdict(role: Which, env: &Env) -> Verdict {
    let problems = role.configure(env).err().map_or_else(Vec::new, |error| error.0);
    Verdict {
        role: role.name(),
        usable: problems.is_empty(),
        problems,
    }
}

fn in_words(result: &Answer<'_>) -> String {
    let mut lines = Vec::new();
    for role in &result.roles {
        let verdict = if role.usable { "usable" } else { "not usable" };
        lines.push(format!("{}: {verdict}", role.role));
        lines.extend(role.problems.iter().map(|problem| format!("  - {problem}")));
    }
    let unread = result.unread.iter();
    lines.extend(unread.map(|name| format!("nobody reads {name}")));
    lines.join("\n")
}
