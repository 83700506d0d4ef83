//! Webhook endpoints: which address takes whose events, under which secrets. Pure.

use std::collections::BTreeSet;

use shared::entry::Mismatch;
use shared::envelope::Envelope;
use shared::signature::Secret;
use subtle::ConstantTimeEq;

/// The address of the default endpoint; the others lie below it.
pub const PATH: &str = "/webhooks/stripe";
/// Name of the endpoint at [`PATH`] itself.
pub const DEFAULT_ENDPOINT: &str = "default";
/// Shortest token: 22 characters of base 64 are 128 bits.
const TOKEN_BYTES_MIN: usize = 22;
/// Longest token; it is part of every request line.
const TOKEN_BYTES_MAX: usize = 256;

/// One webhook endpoint as it is configured in Stripe.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name, which is the last word of its address and a label in metrics.
    pub name: String,
    /// The active signing secrets; several while one is being rolled.
    pub secrets: Vec<Secret>,
    /// Live or test data only; `None` takes both.
    pub livemode: Option<bool>,
    /// Whose events are meant for this installation.
    pub accounts: Accounts,
    /// A secret last part of the address, so that strangers do not even get a signature checked.
    pub token: Option<Token>,
}

/// Whose events an endpoint is meant to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// Everyone's.
    Any,
    /// Those of the platform itself, of some connected accounts, or of both.
    Only {
        /// Events without an `account`.
        platform: bool,
        /// `acct_...` of connected accounts.
        connected: BTreeSet<String>,
    },
}

impl Default for Accounts {
    /// The platform's own events only.
    fn default() -> Self {
        Self::Only {
            platform: true,
            connected: BTreeSet::new(),
        }
    }
}

impl Accounts {
    fn include(&self, account: Option<&str>) -> bool {
        match (self, account) {
            (Self::Any, _) => true,
            (Self::Only { platform, .. }, None) => *platform,
            (Self::Only { connected, .. }, Some(account)) => connected.contains(account),
        }
    }
}

impl Endpoint {
    /// Why an event is not meant for this endpoint. It is kept all the same: Stripe would repeat a
    /// refused one for three days, and a person may want to see it.
    #[must_use]
    pub fn judge(&self, event: &Envelope) -> Option<Mismatch> {
        if self.livemode.is_some_and(|expected| expected != event.livemode) {
            return Some(Mismatch::Livemode);
        }
        let expected = self.accounts.include(event.account.as_deref());
        (!expected).then_some(Mismatch::Account)
    }

    /// The path Stripe is told, without the token.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{PATH}/{}", self.name)
    }
}

/// Finds the endpoint of a request path: its place in `endpoints`.
///
/// A missing or wrong token is no endpoint at all, so that a stranger cannot tell one from the other.
pub(crate) fn find(endpoints: &[Endpoint], path: &str) -> Option<usize> {
    let (name, token) = split(path.strip_prefix(PATH)?)?;
    let place = endpoints.iter().position(|endpoint| endpoint.name == name)?;
    let fits = match (&endpoints[place].token, token) {
        (None, None) => true,
        (Some(expected), Some(given)) => expected.matches(given),
        _ => false,
    };
    fits.then_some(place)
}

/// `""`, `/name` or `/name/token`.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    if rest.is_empty() {
        return Some((DEFAULT_ENDPOINT, None));
    }
    let rest = rest.strip_prefix('/')?;
    Some(match rest.split_once('/') {
        Some((name, token)) => (name, Some(token)),
        None => (rest, None),
    })
}

/// An unguessable part of an address. Never printed.
#[derive(Clone)]
pub struct Token(String);

/// Why a text cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It could be guessed, or does not fit a request line.
    #[error("a token has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters")]
    Length,
    /// It would arrive percent-encoded.
    #[error("a token has letters, digits and -._~ only")]
    Character,
}

impl Token {
    /// Accepts a token exactly as given.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        {
            return Err(TokenError::Character);
        }
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len()) {
            return Err(TokenError::Length);
        }
        Ok(Self(text))
    }

    /// Compares in constant time; only the length can be learned from it.
    fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::envelope::Rendering;

    const TOKEN: &str = "0123456789abcdefghijkl";

    fn endpoint(name: &str, token: Option<&str>) -> Endpoint {
        Endpoint {
            name: name.into(),
            secrets: vec![],
            livemode: None,
            accounts: Accounts::default(),
            token: token.map(|t| Token::new(t).expect("a usable token")),
        }
    }

    fn event(livemode: bool, account: Option<&str>) -> Envelope {
        Envelope {
            id: "evt_1".into(),
            event_type: "a.b".into(),
            created: 1,
            rendering: Rendering::Snapshot,
            account: account.map(str::to_owned),
            livemode,
            api_version: None,
            object_type: None,
            object_id: None,
            customer: None,
        }
    }

    #[test]
    fn an_address_finds_its_endpoint_and_nothing_else() {
        let endpoints = [endpoint("default", None), endpoint("eu", Some(TOKEN))];
        let secret_address = format!("/webhooks/stripe/eu/{TOKEN}");
        let cases = [
            ("/webhooks/stripe", Some(0)),
            ("/webhooks/stripe/default", Some(0)),
            (secret_address.as_str(), Some(1)),
            ("/webhooks/stripe/eu", None),
            ("/webhooks/stripe/eu/", None),
            ("/webhooks/stripe/eu/0123456789abcdefghijkx", None),
            ("/webhooks/stripe/default/", None),
            ("/webhooks/stripe/default/x", None),
            ("/webhooks/stripe/us", None),
            ("/webhooks/stripe/", None),
            ("/webhooks/stripeeu", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(&endpoints, path), expected, "{path}");
        }
    }

    #[test]
    fn an_event_is_judged_by_mode_and_account() {
        let mut endpoint = endpoint("default", None);
        assert_eq!(endpoint.judge(&event(true, None)), None);
        assert_eq!(
            endpoint.judge(&event(true, Some("acct_1"))),
            Some(Mismatch::Account)
        );
        endpoint.livemode = Some(true);
        assert_eq!(
            endpoint.judge(&event(false, Some("acct_1"))),
            Some(Mismatch::Livemode)
        );
        endpoint.accounts = Accounts::Only {
            platform: false,
            connected: ["acct_1".to_owned()].into(),
        };
        assert_eq!(endpoint.judge(&event(true, Some("acct_1"))), None);
        assert_eq!(
            endpoint.judge(&event(true, Some("acct_2"))),
            Some(Mismatch::Account)
        );
        assert_eq!(endpoint.judge(&event(true, None)), Some(Mismatch::Account));
        endpoint.accounts = Accounts::Any;
        assert_eq!(endpoint.judge(&event(true, Some("acct_2"))), None);
    }

    #[test]
    fn a_token_is_long_plain_and_never_printed() {
        assert_eq!(Token::new("short").err(), Some(TokenError::Length));
        assert_eq!(
            Token::new("with space and more text").err(),
            Some(TokenError::Character)
        );
        assert_eq!(format!("{:?}", Token::new(TOKEN).expect("usable")), "Token(..)");
    }
}
