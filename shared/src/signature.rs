//! Stripe's webhook signature: making one and checking one. Pure: the clock is an argument.
//!
//! The scheme (`Stripe-Signature: t=<unix seconds>,v1=<hex>`) is documented at
//! <https://docs.stripe.com/webhooks#verify-manually>: `v1` is the lower-case hex HMAC-SHA256 of
//! `"<t>.<raw body>"` under the whole endpoint secret, `whsec_` included. Where the official
//! libraries disagree about malformed headers we take the strictest reading, because a header that
//! only some of them accept was not written by Stripe.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The name of the request header.
pub const SIGNATURE_HEADER: &str = "stripe-signature";
/// Oldest and furthest-future timestamp accepted, in seconds, both bounds inclusive.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Longest header value looked at, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Most comma-separated elements looked at.
pub const ELEMENTS_MAX: usize = 32;
/// Most `v1` candidates compared; each costs one comparison per secret.
pub const CANDIDATES_MAX: usize = 16;

const TIMESTAMP_DIGITS_MAX: usize = 12;
const MAC_BYTES: usize = 32;
const SECRET_BYTES_MAX: usize = 512;

type HmacSha256 = Hmac<Sha256>;

/// The signing secret of a webhook endpoint (`whsec_...`), used as it stands: Stripe does not
/// base64-decode it. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a text cannot be an endpoint secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An empty key would accept a signature anyone can make.
    #[error("the secret is empty")]
    Empty,
    /// A pasted newline or space would silently change the key.
    #[error("the secret contains white space; paste it without spaces or line breaks")]
    Whitespace,
    /// Not something Stripe issues.
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
}

impl Secret {
    /// Accepts a secret exactly as given.
    ///
    /// # Errors
    /// Refuses empty, blank, white-space-carrying and over-long texts; nothing is trimmed.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(SecretError::Empty);
        }
        if text.chars().any(char::is_whitespace) {
            return Err(SecretError::Whitespace);
        }
        if text.len() > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong);
        }
        Ok(Self(text))
    }

    /// The secret itself, for the one place that must print it: the demo's ready line.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a signature was refused. For counters and logs; the caller of the endpoint never sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is outside the grammar or its limits.
    #[error("malformed header")]
    Malformed,
    /// No `v1` candidate matches any secret.
    #[error("no matching v1")]
    Mismatch,
    /// Signed correctly, but more than the tolerance ago: a replay, or a very late proxy.
    #[error("timestamp too old")]
    TooOld,
    /// Signed correctly, but in the future: our clock is slow.
    #[error("timestamp in the future")]
    InFuture,
}

impl SignatureError {
    /// The value of the `reason` label on the refusal counter.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_header",
            Self::Mismatch => "no_match",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
        }
    }
}

/// Makes the header value Stripe would send for `body` at `timestamp` (unix seconds).
#[must_use]
pub fn sign(secret: &Secret, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let mac = hex::encode(mac_of(secret, &timestamp, body));
    format!("t={timestamp},v1={mac}")
}

/// Checks a header value against the raw body bytes and every active secret.
///
/// Returns the index of the secret that matched, so that a rolled secret still in use can be seen.
///
/// # Errors
/// [`SignatureError`]; the timestamp is judged only after a match, as Stripe's libraries do.
pub fn verify(secrets: &[Secret], header: &[u8], body: &[u8], now: i64) -> Result<usize, SignatureError> {
    let parsed = Header::parse(header)?;
    let matched = secrets
        .iter()
        .position(|secret| parsed.matches(&mac_of(secret, parsed.timestamp_text, body)))
        .ok_or(SignatureError::Mismatch)?;
    if now - parsed.timestamp > TOLERANCE_SECONDS {
        return Err(SignatureError::TooOld);
    }
    if parsed.timestamp - now > TOLERANCE_SECONDS {
        return Err(SignatureError::InFuture);
    }
    Ok(matched)
}

fn mac_of(secret: &Secret, timestamp: &str, body: &[u8]) -> [u8; MAC_BYTES] {
    let mut mac = HmacSha256::new_from_slice(secret.0.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

struct Header<'a> {
    timestamp_text: &'a str,
    timestamp: i64,
    candidates: Vec<[u8; MAC_BYTES]>,
}

impl<'a> Header<'a> {
    /// The grammar: `key=value` elements separated by single commas, no white space, exactly one
    /// canonical `t`, at least one well-formed `v1`; other schemes are ignored.
    fn parse(header: &'a [u8]) -> Result<Self, SignatureError> {
        let text = std::str::from_utf8(header).map_err(|_| SignatureError::Malformed)?;
        if text.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::Malformed);
        }
        let mut timestamp = None;
        let mut candidates = Vec::new();
        for (index, element) in text.split(',').enumerate() {
            let (key, value) = element.split_once('=').ok_or(SignatureError::Malformed)?;
            if index >= ELEMENTS_MAX || !is_key(key) {
                return Err(SignatureError::Malformed);
            }
            match key {
                "t" if timestamp.is_none() => timestamp = Some((value, parse_timestamp(value)?)),
                "t" => return Err(SignatureError::Malformed),
                "v1" if candidates.len() == CANDIDATES_MAX => return Err(SignatureError::Malformed),
                // A malformed candidate next to a good one is skipped: Stripe may add forms we do not know.
                "v1" => candidates.extend(parse_mac(value)),
                _ => {}
            }
        }
        let (timestamp_text, timestamp) = timestamp.ok_or(SignatureError::Malformed)?;
        if candidates.is_empty() {
            return Err(SignatureError::Malformed);
        }
        Ok(Self {
            timestamp_text,
            timestamp,
            candidates,
        })
    }

    /// Compares every candidate, in constant time, without stopping at the first match.
    fn matches(&self, mac: &[u8; MAC_BYTES]) -> bool {
        let none = Choice::from(0);
        self.candidates
            .iter()
            .fold(none, |any, candidate| any | candidate.ct_eq(mac))
            .into()
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Canonical decimal only, so that the text that was signed and the number that is judged cannot differ.
fn parse_timestamp(text: &str) -> Result<i64, SignatureError> {
    let canonical = (1..=TIMESTAMP_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if !canonical {
        return Err(SignatureError::Malformed);
    }
    text.parse().map_err(|_| SignatureError::Malformed)
}

fn parse_mac(text: &str) -> Option<[u8; MAC_BYTES]> {
    let lower_hex = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut mac = [0; MAC_BYTES];
    (lower_hex && hex::decode_to_slice(text, &mut mac).is_ok()).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("a usable secret")
    }

    fn check(header: &str, now: i64) -> Result<usize, SignatureError> {
        verify(
            &[secret("whsec_a"), secret("whsec_b")],
            header.as_bytes(),
            b"{}",
            now,
        )
    }

    #[test]
    fn known_answer() {
        // Python: hmac.new(b"whsec_a", b"1800000000.{}", "sha256").hexdigest()
        assert_eq!(
            sign(&secret("whsec_a"), NOW, b"{}"),
            "t=1800000000,v1=f66ebcd4d4dfd6f204ad83d004ebfc0312e82e8dfe7df5110714cbc58099a9c8"
        );
    }

    #[test]
    fn any_active_secret_matches_and_is_named() {
        assert_eq!(check(&sign(&secret("whsec_a"), NOW, b"{}"), NOW), Ok(0));
        assert_eq!(check(&sign(&secret("whsec_b"), NOW, b"{}"), NOW), Ok(1));
        assert_eq!(
            check(&sign(&secret("whsec_c"), NOW, b"{}"), NOW),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn tolerance_is_inclusive_on_both_sides() {
        let header = sign(&secret("whsec_a"), NOW, b"{}");
        assert_eq!(check(&header, NOW + 300), Ok(0));
        assert_eq!(check(&header, NOW + 301), Err(SignatureError::TooOld));
        assert_eq!(check(&header, NOW - 300), Ok(0));
        assert_eq!(check(&header, NOW - 301), Err(SignatureError::InFuture));
    }

    #[test]
    fn header_outside_the_grammar_is_malformed() {
        let good = sign(&secret("whsec_a"), NOW, b"{}");
        let mac = good.split_once(",v1=").expect("one v1").1;
        let cases = [
            String::new(),
            format!(",{good}"),
            format!("{good},"),
            good.replace(",v1", ", v1"),
            format!("t=1800000000,{good}"),
            format!("t=01800000000,v1={mac}"),
            format!("t=+1800000000,v1={mac}"),
            format!("t=,v1={mac}"),
            format!("v1={mac}"),
            format!("t=1800000000,V1={mac}"),
            format!("t=1800000000,v1={}", mac.to_uppercase()),
            format!("t=1800000000,v0={mac}"),
            format!("t=9999999999999,v1={mac}"),
            format!("{good}{}", ",x=1".repeat(ELEMENTS_MAX)),
            format!("t=1800000000{}", format!(",v1={mac}").repeat(CANDIDATES_MAX + 1)),
            format!("{good},x={}", "y".repeat(HEADER_BYTES_MAX)),
        ];
        for header in cases {
            assert_eq!(check(&header, NOW), Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn malformed_candidate_beside_a_good_one_is_skipped() {
        let good = sign(&secret("whsec_a"), NOW, b"{}");
        assert_eq!(check(&format!("{good},v1=,v1=zz,v2=anything"), NOW), Ok(0));
    }

    #[test]
    fn secrets_that_would_weaken_the_check_are_refused() {
        assert_eq!(Secret::new(""), Err(SecretError::Empty));
        assert_eq!(Secret::new(" \n"), Err(SecretError::Empty));
        assert_eq!(Secret::new("whsec_a\n"), Err(SecretError::Whitespace));
        assert_eq!(format!("{:?}", secret("whsec_a")), "Secret(..)");
    }
}
