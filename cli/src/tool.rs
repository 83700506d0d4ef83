//! What the commands that do one thing and end have in common: settings, a runtime, a store whose schema suits.

use std::error::Error;
use std::process::ExitCode;

use shared::config::{EXIT_CONFIG, Env, Reader};
use store::api::Operator;
use store::{SchemaError, Store};

use crate::fail;

/// Connections a command takes.
const CONNECTIONS_MAX: u32 = 2;

/// Reads settings with `read`, and runs `command` with them. Says on stderr what is wrong.
pub(crate) fn run<T, C>(read: impl FnOnce(&mut Reader<'_>) -> T, command: impl FnOnce(T) -> C) -> ExitCode
where
    C: Future<Output = Result<ExitCode, Box<dyn Error>>>,
{
    let env = Env::of_process();
    shared::telemetry::init_logs(&env.clone().with_default("TOLLGATE_LOG", "warn"));
    let mut reader = Reader::new(&env);
    let settings = read(&mut reader);
    let settings = match reader.finish(settings) {
        Ok(settings) => settings,
        Err(error) => {
            fail(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    block_on(command(settings))
}

/// Runs a command in a runtime of its own. Says on stderr what went wrong.
pub(crate) fn block_on(command: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(command) {
        Ok(status) => status,
        Err(error) => fail(&error),
    }
}

/// A store for looking and for small changes. Refuses a schema that does not suit, as the roles do.
pub(crate) async fn open(url: &str) -> Result<Store, SchemaError> {
    let store = Store::new(url, "tollgate-cli", CONNECTIONS_MAX)?;
    store.check_schema().await?;
    Ok(store)
}

/// One line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts and integers always serialise")
}

/// Who works on the installation, past the API.
pub(crate) fn operator(account: &str) -> Operator {
    Operator {
        account: account.to_owned(),
        login: login(),
    }
}

/// Who runs this command, as far as the environment knows.
pub(crate) fn login() -> String {
    let login = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|login| !login.is_empty()));
    login.unwrap_or_else(|| "unknown".to_owned())
}
