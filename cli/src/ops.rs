//! `tollgate ops`: who may sign in to the ops page.

use std::process::ExitCode;

use api::ops::{OpsRole, User, hashed};

use crate::{answer, fail};

/// Exit status and examples, for the help.
pub(crate) const HELP: &str = "\
The password is the first line of the input. What is printed goes into TOLLGATE_API_OPS_USERS, or is a line of the file
that TOLLGATE_API_OPS_USERS_FILE names; the password cannot be had from it.

Examples:
  tollgate ops user ann --role operator < password.txt

Exit status: 0 printed; 1 the name or the password cannot be used.";

/// What `tollgate ops` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Print a line for somebody who may sign in, with a password that is read
    #[command(after_help = HELP)]
    User {
        /// Their name, as it will be in the audit log: letters, digits and -_.@
        name: String,
        /// What they may do: `reader` looks, `operator` replays and pauses, `admin` discards, too
        #[arg(long, value_parser = role)]
        role: OpsRole,
    },
}

fn role(text: &str) -> Result<OpsRole, String> {
    OpsRole::parse(text).ok_or_else(|| "reader, operator or admin".to_owned())
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let Command::User { name, role } = &options.command;
    let mut password = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut password) {
        return fail(&error);
    }
    match line(name, *role, password.trim_end_matches(['\r', '\n'])) {
        Ok(line) => {
            answer(&line);
            ExitCode::SUCCESS
        }
        Err(problem) => fail(&problem),
    }
}

/// Somebody, as `TOLLGATE_API_OPS_USERS` takes them.
pub(crate) fn line(name: &str, role: OpsRole, password: &str) -> Result<String, String> {
    Ok(User::new(name, role, &hashed(password)?)?.to_string())
}

#[cfg(test)]
mod tests {
    use api::ops::Users;

    use super::*;

    #[test]
    fn what_is_printed_is_what_the_api_takes() {
        let printed = line("ann", OpsRole::Operator, "correct horse battery").expect("usable");
        assert!(printed.starts_with("ann:operator:") && !printed.contains("horse"));
        assert!(Users::parse(&printed).is_ok());
        assert!(line("a b", OpsRole::Reader, "correct horse battery").is_err());
        assert!(line("ann", OpsRole::Reader, "short").is_err());
    }
}
