//! Who may sign in, and as what.

use std::fmt;
use std::sync::Arc;

use super::password::Stored;

/// Longest name, characters.
const NAME_CHARS_MAX: usize = 64;

/// What an operator may do. A later one may all that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpsRole {
    /// Look, but for the bodies of events.
    Reader,
    /// Replay, stop jobs, pause the queue, read bodies.
    Operator,
    /// Discard, too: what nobody waits for any more may be money.
    Admin,
}

impl OpsRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Admin];

    /// As in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Reads a role.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub(super) name: String,
    pub(super) role: OpsRole,
    pub(super) password: Stored,
}

impl User {
    /// Somebody with a password that is kept as [`super::hashed`] says.
    ///
    /// # Errors
    /// What is wrong, for people. Never repeats what is kept of the password.
    pub fn new(name: &str, role: OpsRole, password: &str) -> Result<Self, String> {
        let plain = |char: char| char.is_ascii_alphanumeric() || "-_.@".contains(char);
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            return Err(format!(
                "a name has 1 to {NAME_CHARS_MAX} letters, digits and -_.@"
            ));
        }
        let password = Stored::parse(password).ok_or_else(|| {
            format!("what is kept of the password of {name} was not made by `tollgate ops user`")
        })?;
        Ok(Self {
            name: name.to_owned(),
            role,
            password,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(role), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("somebody is written NAME:ROLE:PASSWORD, as `tollgate ops user` does".to_owned());
        };
        let role =
            OpsRole::parse(role).ok_or_else(|| format!("{name} is none of reader, operator, admin"))?;
        Self::new(name, role, password)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.role.as_str(), self.password)
    }
}

/// Everybody who may sign in. Not `Debug`: it holds what is kept of passwords.
#[derive(Clone)]
pub struct Users(Arc<[User]>);

impl Users {
    /// Reads `NAME:ROLE:PASSWORD`, separated by commas or lines.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written = text.split([',', '\n']).map(str::trim).filter(|it| !it.is_empty());
        let users: Vec<User> = written.map(User::parse).collect::<Result<_, _>>()?;
        for (at, user) in users.iter().enumerate() {
            if users[..at].iter().any(|other| other.name == user.name) {
                return Err(format!("{} is there twice", user.name));
            }
        }
        if users.is_empty() {
            return Err("nobody is named".to_owned());
        }
        Ok(Self(users.into()))
    }

    pub(super) fn find(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::hashed_for_tests;
    use super::*;

    #[test]
    fn users_are_read_as_they_are_written() {
        let kept = hashed_for_tests("correct horse");
        let text = format!("ann:admin:{kept},\n bob.b@example.com:reader:{kept}\n");
        let users = Users::parse(&text).expect("two");
        assert_eq!(users.find("ann").map(|it| it.role), Some(OpsRole::Admin));
        let bob = users.find("bob.b@example.com").expect("there");
        assert_eq!(bob.to_string(), format!("bob.b@example.com:reader:{kept}"));
        assert!(users.find("eve").is_none());
    }

    #[test]
    fn what_cannot_be_a_user_is_refused_without_repeating_it() {
        let kept = hashed_for_tests("correct horse");
        for text in [
            String::new(),
            "ann".to_owned(),
            format!("ann:owner:{kept}"),
            format!("a b:reader:{kept}"),
            format!(":reader:{kept}"),
            format!("ann:reader:{kept},ann:admin:{kept}"),
            "ann:reader:hunter2".to_owned(),
        ] {
            let Err(problem) = Users::parse(&text) else {
                panic!("{text:?} is taken")
            };
            assert!(
                !problem.contains("hunter2") && !problem.contains(&kept),
                "{problem}"
            );
        }
    }

    #[test]
    fn roles_are_ordered() {
        assert!(OpsRole::Reader < OpsRole::Operator && OpsRole::Operator < OpsRole::Admin);
    }
}
