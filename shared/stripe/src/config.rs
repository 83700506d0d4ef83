//! The settings by which Stripe's API is reached, the same for every role that asks it.

use shared::config::{Reader, Setting};

use crate::settings::{BASE_URL, SecretKey, Settings};

/// Name of the setting with the key; or of the file that holds it, with `_FILE`.
pub const API_KEY: &str = "STRIPE_API_KEY";

/// Where the API is.
pub const API_URL: Setting = Setting {
    name: "TOLLGATE_STRIPE_API_URL",
    default: "https://api.stripe.com",
    about: "where Stripe's API is; for stand-ins",
};

/// Reads how Stripe's API is reached, when it is.
pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let base_url = reader.or(API_URL.name, BASE_URL.to_owned());
    let key = reader.secret(API_KEY)?;
    match SecretKey::new(&key) {
        Ok(key) => Some(Settings {
            base_url,
            ..Settings::new(key)
        }),
        Err(error) => {
            reader.problem(format!("{API_KEY}: {error}"));
            None
        }
    }
}
