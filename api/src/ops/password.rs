//! What is kept of passwords: PBKDF2 by ring, so that there is no second crypto library.

use std::fmt;
use std::num::NonZeroU32;

use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};

/// Rounds of what we make: OWASP's advice for HMAC-SHA256.
const ROUNDS: u32 = 600_000;
/// Rounds that are taken: fewer do not protect, more would let one sign-in take seconds.
const ROUNDS_TAKEN: std::ops::RangeInclusive<u32> = 100_000..=5_000_000;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Least characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Names the scheme, so that another one can come beside it.
const SCHEME: &str = "pbkdf2-sha256";

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stored {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    /// Reads `pbkdf2-sha256$ROUNDS$SALT$HASH`, both in hex.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('$').collect();
        let &[SCHEME, rounds, salt, hash] = parts.as_slice() else {
            return None;
        };
        let rounds: u32 = rounds.parse().ok().filter(|it| ROUNDS_TAKEN.contains(it))?;
        let (salt, hash) = (hex::decode(salt).ok()?, hex::decode(hash).ok()?);
        (salt.len() >= SALT_BYTES && hash.len() == HASH_BYTES).then_some(Self {
            rounds: NonZeroU32::new(rounds)?,
            salt,
            hash,
        })
    }

    /// Whether it is of this password. Takes tenths of a second, on purpose; the same for every answer.
    pub(super) fn is_of(&self, password: &str) -> bool {
        pbkdf2::verify(
            PBKDF2_HMAC_SHA256,
            self.rounds,
            &self.salt,
            password.as_bytes(),
            &self.hash,
        )
        .is_ok()
    }

    /// Of a password nobody has: whoever names nobody waits as long.
    pub(super) fn of_nobody() -> Self {
        Self {
            rounds: NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN),
            salt: vec![0; SALT_BYTES],
            hash: vec![0; HASH_BYTES],
        }
    }

    fn make(password: &str, rounds: u32) -> Option<Self> {
        let mut salt = vec![0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).ok()?;
        let mut hash = vec![0; HASH_BYTES];
        let rounds = NonZeroU32::new(rounds)?;
        pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut hash);
        Some(Self { rounds, salt, hash })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, hash) = (hex::encode(&self.salt), hex::encode(&self.hash));
        write!(f, "{SCHEME}${}${salt}${hash}", self.rounds)
    }
}

/// What to keep of a password.
///
/// # Errors
/// When it is too short, or the system has no randomness; for people.
pub fn hashed(password: &str) -> Result<String, String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!("a password has {PASSWORD_CHARS_MIN} characters or more"));
    }
    let stored = Stored::make(password, ROUNDS).ok_or("the system has no randomness")?;
    Ok(stored.to_string())
}

#[cfg(test)]
pub(super) fn hashed_for_tests(password: &str) -> String {
    let stored = Stored::make(password, *ROUNDS_TAKEN.start());
    stored.expect("randomness").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_fits() {
        let stored = Stored::parse(&hashed_for_tests("correct horse")).expect("ours");
        assert!(stored.is_of("correct horse"));
        assert!(!stored.is_of("correct horsf") && !stored.is_of(""));
        assert!(!Stored::of_nobody().is_of(""));
    }

    #[test]
    fn what_protects_too_little_is_refused() {
        let kept = hashed_for_tests("correct horse");
        assert!(Stored::parse(&kept).is_some());
        for text in [
            kept.replace("$100000$", "$99999$"),
            kept.replace("$100000$", "$5000001$"),
            kept.replace(SCHEME, "sha256"),
            kept[..kept.len() - 2].to_owned(),
            format!("{kept}$"),
        ] {
            assert!(Stored::parse(&text).is_none(), "{text}");
        }
        assert!(hashed("short").is_err());
    }
}
