//! As whom the servers run.
//!
//! An ordinary user runs them as themselves. Postgres refuses to run as root, and Redis has no need to, so root
//! runs them as `postgres` where that user exists and as `nobody` where it does not.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::StackError;
use crate::error::Attempt;

const PASSWD: &str = "/etc/passwd";
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];
const OTHERS_MAY_ENTER: u32 = 0o001;
const OWNER_MAY_ENTER: u32 = 0o100;

/// The user whom root hands the servers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl ServiceUser {
    /// `None` for an ordinary user, who needs no other.
    pub(crate) fn for_this_process() -> Result<Option<Self>, StackError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string(PASSWD).to("read", Path::new(PASSWD))?;
        CANDIDATES
            .iter()
            .find_map(|name| find(&passwd, name))
            .map(Some)
            .ok_or(StackError::NoServiceUser)
    }

    /// Makes `command` run as this user, and as no group of root's.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives `path` to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), StackError> {
        chown(path, Some(self.uid), Some(self.gid)).to("hand over", path)
    }

    /// Fails unless this user can get to `dir` through every directory above it.
    pub(crate) fn check_reach(&self, dir: &Path) -> Result<(), StackError> {
        if self.can_enter(dir) {
            return Ok(());
        }
        Err(StackError::Unreachable {
            dir: dir.to_owned(),
            user: self.name.clone(),
        })
    }

    /// Whether this user can enter `dir` and every directory above it. Groups and ACLs are not looked at.
    pub(crate) fn can_enter(&self, dir: &Path) -> bool {
        let Ok(real) = fs::canonicalize(dir) else {
            return false;
        };
        real.ancestors().all(|step| {
            fs::metadata(step).is_ok_and(|meta| {
                let bit = if meta.uid() == self.uid {
                    OWNER_MAY_ENTER
                } else {
                    OTHERS_MAY_ENTER
                };
                meta.mode() & bit != 0
            })
        })
    }
}

fn find(passwd: &str, name: &str) -> Option<ServiceUser> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(ServiceUser {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_its_own_line() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres-old:x:7:7::/:\npostgres:x:101:104::/:\n";
        let user = find(passwd, "postgres").expect("listed");
        assert_eq!((user.uid, user.gid), (101, 104));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
