//! `tollgate completions`.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::answer;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Examples:
  tollgate completions bash > /etc/bash_completion.d/tollgate
  tollgate completions zsh > ~/.zfunc/_tollgate
  tollgate completions fish > ~/.config/fish/completions/tollgate.fish";

/// What `tollgate completions` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`.
pub(crate) fn main(options: &Options, command: &mut clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, command, "tollgate", &mut script);
    answer(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
