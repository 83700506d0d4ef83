//! Somebody who may sign in to the ops page that `dev` runs, unless the user has named operators.

use std::io;

use api::ops::OpsRole;
use shared::config::Env;

use super::services::random_word;
use crate::ops::line;

const USERS: &str = "TOLLGATE_API_OPS_USERS";
const USERS_FILE: &str = "TOLLGATE_API_OPS_USERS_FILE";
/// Who it is.
pub(super) const NAME: &str = "dev";

/// A password that was made up.
pub(super) struct OpsLogin {
    pub password: String,
    kept: String,
}

impl OpsLogin {
    /// Nothing, where the environment names operators.
    pub(super) fn unless_configured(env: &Env) -> io::Result<Option<Self>> {
        if [USERS, USERS_FILE].iter().any(|name| env.get(name).is_some()) {
            return Ok(None);
        }
        let password = random_word()?;
        let kept = line(NAME, OpsRole::Admin, &password).map_err(io::Error::other)?;
        Ok(Some(Self { password, kept }))
    }

    /// As the API takes it.
    pub(super) fn settings(&self) -> [(&'static str, String); 1] {
        [(USERS, self.kept.clone())]
    }
}
