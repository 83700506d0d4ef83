//! The key, the address and the patience that a [`Client`](crate::Client) is made of.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;

/// Where Stripe's API is.
pub const BASE_URL: &str = "https://api.stripe.com";
/// How long one attempt may take, from connecting to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Beginnings of the keys Stripe hands out for servers, secret and restricted.
const KEY_PREFIXES: [(&str, Mode); 4] = [
    ("sk_live_", Mode::Live),
    ("rk_live_", Mode::Live),
    ("sk_test_", Mode::Sandbox),
    ("rk_test_", Mode::Sandbox),
];

/// Which of Stripe's two worlds a key opens. They have different limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Real money.
    Live,
    /// Test mode and sandboxes.
    Sandbox,
}

impl Mode {
    /// As it stands in Redis keys and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }
}

/// What is wrong with [`Settings`]. Never repeats the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Another prefix, or characters that no key has.
    #[error("not a secret or restricted key of Stripe: sk_live_..., rk_live_..., sk_test_... or rk_test_...")]
    Key,
    /// Not `http(s)://host[:port]`.
    #[error("not an address such as https://api.stripe.com: scheme, host and port only")]
    BaseUrl,
    /// A live key would cross a network readable by others.
    #[error("a live key is not sent over plain http, except to this machine")]
    PlainHttp,
    /// No time at all.
    #[error("the timeout is zero")]
    Timeout,
}

/// A key of Stripe's API. Cannot be printed.
#[derive(Clone)]
pub struct SecretKey {
    authorization: HeaderValue,
    mode: Mode,
}

impl SecretKey {
    /// Takes a secret (`sk_`) or restricted (`rk_`) key.
    ///
    /// # Errors
    /// [`SettingsError::Key`].
    pub fn new(text: &str) -> Result<Self, SettingsError> {
        let (prefix, mode) = KEY_PREFIXES
            .into_iter()
            .find(|(prefix, _)| text.starts_with(prefix))
            .ok_or(SettingsError::Key)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if text.len() == prefix.len() || !text.bytes().all(plain) {
            return Err(SettingsError::Key);
        }
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| SettingsError::Key)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, mode })
    }

    /// Which world it opens.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The `Authorization` header, marked so that hyper does not print it either.
    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.mode.as_str())
    }
}

/// What a [`Client`](crate::Client) needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key.
    pub key: SecretKey,
    /// `https://api.stripe.com`, or a stand-in: scheme, host and port.
    pub base_url: String,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Settings {
    /// Stripe itself, with the usual patience.
    #[must_use]
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            base_url: BASE_URL.to_owned(),
            timeout: TIMEOUT,
        }
    }

    /// The address without a slash at its end.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn checked_base(&self) -> Result<String, SettingsError> {
        if self.timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        let uri: Uri = self.base_url.parse().map_err(|_| SettingsError::BaseUrl)?;
        let (Some(scheme), Some(authority), Some(host)) = (uri.scheme_str(), uri.authority(), uri.host())
        else {
            return Err(SettingsError::BaseUrl);
        };
        let bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
        if !bare || !matches!(scheme, "http" | "https") {
            return Err(SettingsError::BaseUrl);
        }
        let near = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if scheme == "http" && !near && self.key.mode() == Mode::Live {
            return Err(SettingsError::PlainHttp);
        }
        Ok(format!("{scheme}://{authority}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(key: &str, url: &str) -> Result<String, SettingsError> {
        Settings {
            base_url: url.to_owned(),
            ..Settings::new(SecretKey::new(key).expect("a key"))
        }
        .checked_base()
    }

    #[test]
    fn keys_tell_their_mode_and_never_themselves() {
        for (text, mode) in [
            ("sk_live_a1", Mode::Live),
            ("rk_live_a1", Mode::Live),
            ("sk_test_a1", Mode::Sandbox),
            ("rk_test_a1", Mode::Sandbox),
        ] {
            let key = SecretKey::new(text).expect("a key");
            assert_eq!(key.mode(), mode);
            let shown = format!(
                "{key:?} {:?} {:?}",
                key.authorization(),
                Settings::new(key.clone())
            );
            assert!(!shown.contains("a1"), "{shown}");
        }
        for text in [
            "",
            "sk_live_",
            "pk_live_a",
            "whsec_a",
            "sk_test_a\r\nx: y",
            " sk_test_a",
            "sk_test_ä",
        ] {
            assert_eq!(SecretKey::new(text).err(), Some(SettingsError::Key), "{text}");
        }
    }

    #[test]
    fn addresses_have_scheme_host_and_port_only() {
        for (url, expected) in [
            ("https://api.stripe.com", "https://api.stripe.com"),
            ("https://api.stripe.com/", "https://api.stripe.com"),
            ("http://127.0.0.1:12111", "http://127.0.0.1:12111"),
            ("http://simulator:80/", "http://simulator:80"),
        ] {
            assert_eq!(base("sk_test_a", url).as_deref(), Ok(expected));
        }
        for url in [
            "",
            "api.stripe.com",
            "ftp://a",
            "https://a/v1",
            "https://a/?b",
            "https://u:p@a",
            "https://",
        ] {
            assert_eq!(base("sk_test_a", url), Err(SettingsError::BaseUrl), "{url}");
        }
    }

    #[test]
    fn a_live_key_never_leaves_the_machine_in_the_clear() {
        assert_eq!(
            base("sk_live_a", "http://proxy:80"),
            Err(SettingsError::PlainHttp)
        );
        assert_eq!(
            base("rk_live_a", "http://127.0.0.1.evil.example"),
            Err(SettingsError::PlainHttp)
        );
        for url in [
            "http://localhost:1",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "https://proxy",
        ] {
            assert!(base("sk_live_a", url).is_ok(), "{url}");
        }
    }
}
