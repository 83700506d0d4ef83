//! Sessions: a signed cookie, so that the pages also work while Redis or Postgres do not. Pure, but for the key.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::users::{User, Users};

/// How long somebody stays signed in, seconds: a working day.
pub(super) const SESSION_SECONDS: i64 = 8 * 60 * 60;
/// Least bytes of `TOLLGATE_API_OPS_SECRET`.
pub(crate) const SECRET_BYTES_MIN: usize = 32;
/// Longest cookie that is looked at, bytes.
const COOKIE_BYTES_MAX: usize = 512;
const NONCE_BYTES: usize = 16;

/// Signs sessions and the tokens of their forms.
pub(super) struct SessionKey(hmac::Key);

impl SessionKey {
    /// Of a secret; without one, of randomness: then a session ends with the process, and is no other replica's.
    pub(super) fn new(secret: Option<&[u8]>) -> Self {
        let key = match secret {
            Some(secret) => hmac::Key::new(hmac::HMAC_SHA256, secret),
            None => hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
                .expect("the system has randomness"),
        };
        Self(key)
    }

    /// A cookie that says who somebody is: `NAME:UNTIL:NONCE:SIGNATURE`. What is kept of their password is signed, too, so
    /// that another password ends all sessions.
    pub(super) fn issue(&self, user: &User, now: i64) -> String {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new()
            .fill(&mut nonce)
            .expect("the system has randomness");
        let said = format!("{}:{}:{}", user.name, now + SESSION_SECONDS, hex::encode(nonce));
        let tag = hmac::sign(&self.0, &signed(&said, user));
        format!("{said}:{}", hex::encode(tag))
    }

    /// Whose cookie it is, when it is one and good.
    pub(super) fn read<'a>(&self, cookie: &str, users: &'a Users, now: i64) -> Option<&'a User> {
        if cookie.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let (said, tag) = cookie.rsplit_once(':')?;
        let mut parts = said.split(':');
        let user = users.find(parts.next()?)?;
        hmac::verify(&self.0, &signed(said, user), &hex::decode(tag).ok()?).ok()?;
        let until: i64 = parts.next()?.parse().ok()?;
        (now < until).then_some(user)
    }

    /// What the forms of a session carry.
    pub(super) fn form_token(&self, cookie: &str) -> String {
        hex::encode(hmac::sign(&self.0, &of_form(cookie)))
    }

    /// Whether a form is of this session.
    pub(super) fn is_form_token(&self, cookie: &str, token: &str) -> bool {
        hex::decode(token).is_ok_and(|tag| hmac::verify(&self.0, &of_form(cookie), &tag).is_ok())
    }
}

fn signed(said: &str, user: &User) -> Vec<u8> {
    format!("session\n{said}\n{user}").into_bytes()
}

fn of_form(cookie: &str) -> Vec<u8> {
    format!("form\n{cookie}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::password::hashed_for_tests;
    use super::*;

    fn users(role: &str) -> Users {
        let kept = hashed_for_tests("correct horse");
        Users::parse(&format!("ann:{role}:{kept},bob:admin:{kept}")).expect("two")
    }

    #[test]
    fn a_session_is_good_until_it_ends_and_for_nobody_else() {
        let (key, users) = (SessionKey::new(None), users("reader"));
        let cookie = key.issue(users.find("ann").expect("there"), 1_000);
        let name = |cookie: &str, now| key.read(cookie, &users, now).map(|it| it.name.clone());
        assert_eq!(name(&cookie, 1_000).as_deref(), Some("ann"));
        assert_eq!(name(&cookie, 999 + SESSION_SECONDS).as_deref(), Some("ann"));
        assert_eq!(name(&cookie, 1_000 + SESSION_SECONDS), None);
        assert_eq!(name(&cookie.replacen("ann", "bob", 1), 1_000), None);
        assert_eq!(name(&cookie.replacen(":29800:", ":99999:", 1), 1_000), None);
        for other in [
            "",
            "ann",
            "ann:1:2:3",
            ":::",
            &cookie[1..],
            &"a".repeat(COOKIE_BYTES_MAX + 1),
        ] {
            assert_eq!(name(other, 1_000), None, "{other}");
        }
        assert!(SessionKey::new(None).read(&cookie, &users, 1_000).is_none());
    }

    #[test]
    fn another_password_or_role_ends_a_session() {
        let (key, before) = (SessionKey::new(Some(&[7; 32])), users("reader"));
        let cookie = key.issue(before.find("ann").expect("there"), 1_000);
        assert!(key.read(&cookie, &before, 1_000).is_some());
        assert!(key.read(&cookie, &users("reader"), 1_000).is_none());
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let key = SessionKey::new(None);
        let token = key.form_token("one");
        assert!(key.is_form_token("one", &token));
        assert!(!key.is_form_token("two", &token) && !key.is_form_token("one", ""));
        assert_ne!(token, SessionKey::new(None).form_token("one"));
    }
}
