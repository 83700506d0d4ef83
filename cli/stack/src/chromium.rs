//! A Chromium, for who checks pages with the real thing.

use std::process::Command;

use crate::find::{Program, Wanted, locate};
use crate::progress::Reporter;
use crate::{Software, Sources, StackError};

/// The program.
#[derive(Debug, Clone)]
pub struct Chromium(Program);

impl Chromium {
    /// Finds it, or fetches it.
    ///
    /// # Errors
    /// [`StackError`], which says what was tried.
    pub fn find(sources: &Sources) -> Result<Self, StackError> {
        let wanted = Wanted {
            software: Software::Chromium,
            major: None,
            user: None,
        };
        let program = locate(&wanted, sources, &Reporter::default())?;
        Ok(Self(program))
    }

    /// A browser without a window, controlled over its input and output: a message each way is JSON and a NUL.
    ///
    /// It expects them as files 3 and 4, where a shell puts them.
    #[must_use]
    pub fn controlled(&self) -> Command {
        let mut browser = self.0.command();
        browser.arg("--headless").arg("--remote-debugging-pipe");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null", "sh"])
            .arg(browser.get_program())
            .args(browser.get_args())
            .env_clear();
        for (name, value) in browser.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
    }
}
