//! The directory in which a stack lives: temporary and swept, or given and kept.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::StackError;
use crate::disk::Disk;
use crate::error::Attempt;
use crate::leftovers;
use crate::process::Process;
use crate::user::ServiceUser;

const PREFIX: &str = "tollgate-dev.";
const LOCK: &str = "tollgate.lock";
/// Everyone may pass through, only the owner may look: the servers may run as another user than we do.
const PASSABLE: u32 = 0o711;
const PRIVATE: u32 = 0o700;
/// Open to every user, for when root's TMPDIR is not.
const COMMON_TEMP: &str = "/tmp";
/// A temporary directory without a lock is this old before it counts as stale: its owner may be about to lock it.
const UNLOCKED_GRACE: Duration = Duration::from_secs(60);
/// How often a new directory may be swept away between its creation and its lock.
const CREATE_ATTEMPTS: u32 = 5;

/// Waits until the owner is gone (its end of the pipe closes, even on kill -9), ends the servers where the kernel
/// does not, lets Postgres finish, and removes the directory. $1 directory, $2 end|leave, $3 remove|keep.
const GUARD: &str = r#"
trap '' HUP INT TERM
read -r _
postmaster=$1/postgres/data/postmaster.pid
if [ "$2" = end ]; then
    [ -e "$postmaster" ] && kill -INT "$(head -n 1 "$postmaster")"
    [ -e "$1/redis/redis.pid" ] && kill -KILL "$(cat "$1/redis/redis.pid")"
fi
[ "$3" = remove ] || exit 0
polls=0
while [ -e "$postmaster" ]; do
    [ "$polls" -lt 50 ] || exit 0 # it hangs: the next start's sweep is thorough
    polls=$((polls + 1))
    sleep 0.1
done
for disk in "$1/postgres" "$1/redis"; do
    mountpoint -q "$disk" && umount -l "$disk"
done 2>/dev/null
rm -rf -- "$1"
"#;

/// A locked directory. Dropping it removes it, unless it was given by the user.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    kept: bool,
    user: Option<ServiceUser>,
    guard: Option<Process>,
    /// Held as long as this process lives: whoever can take it knows that the owner is gone.
    lock: File,
}

impl Home {
    /// Opens `data_dir`, or makes a temporary directory after sweeping what dead processes left.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, StackError> {
        let user = ServiceUser::for_this_process()?;
        let (path, lock) = match data_dir {
            Some(dir) => open_kept(dir)?,
            None => {
                let base = temp_base(user.as_ref());
                sweep(&base);
                create_temporary(&base)?
            }
        };
        let mut home = Self {
            path,
            kept: data_dir.is_some(),
            user,
            guard: None,
            lock,
        };
        if let Some(user) = &home.user {
            user.check_reach(&home.path)?;
        }
        home.guard = home.start_guard()?;
        Ok(home)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the data outlives this process.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn user(&self) -> Option<&ServiceUser> {
        self.user.as_ref()
    }

    /// Makes a directory below this one that only the servers' user can look into.
    pub(crate) fn private_dir(&self, name: &str) -> Result<PathBuf, StackError> {
        let dir = self.path.join(name);
        if !dir.is_dir() {
            fs::DirBuilder::new()
                .mode(PRIVATE)
                .create(&dir)
                .to("create", &dir)?;
        }
        self.hand_over(&dir)?;
        Ok(dir)
    }

    /// Mounts a disk at a private directory, where one is wanted.
    pub(crate) fn disk(&self, dir: &Path, bytes: Option<u64>) -> Result<Option<Disk>, StackError> {
        let Some(bytes) = bytes else { return Ok(None) };
        let disk = Disk::mount(dir, bytes)?;
        fs::set_permissions(dir, Permissions::from_mode(PRIVATE)).to("close", dir)?;
        self.hand_over(dir)?;
        Ok(Some(disk))
    }

    /// Gives a file to the servers' user.
    pub(crate) fn hand_over(&self, path: &Path) -> Result<(), StackError> {
        self.user.as_ref().map_or(Ok(()), |user| user.own(path))
    }

    /// Needed to remove a temporary directory after a kill, and, where the kernel knows no parent-death signal,
    /// to end the servers.
    fn start_guard(&self) -> Result<Option<Process>, StackError> {
        let kernel_ends_children = cfg!(target_os = "linux");
        if self.kept && kernel_ends_children {
            return Ok(None);
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GUARD, "tollgate-guard"])
            .arg(&self.path)
            .args([
                if kernel_ends_children { "leave" } else { "end" },
                if self.kept { "keep" } else { "remove" },
            ])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Process::spawn_surviving(command)
            .map(Some)
            .to("guard", &self.path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(guard) = &mut self.guard
            && let Err(error) = guard.kill()
        {
            tracing::warn!(%error, "the guard of {} would not stop", self.path.display());
        }
        if !self.kept {
            remove(&self.path);
        }
        // Closing is not enough: a process that another thread is just starting has a copy of the descriptor until
        // its exec, and the lock would live as long.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "could not unlock {}", self.path.display());
        }
    }
}

fn temp_base(user: Option<&ServiceUser>) -> PathBuf {
    let base = std::env::temp_dir();
    match user {
        Some(user) if !user.can_enter(&base) => PathBuf::from(COMMON_TEMP),
        _ => base,
    }
}

fn create_temporary(base: &Path) -> Result<(PathBuf, File), StackError> {
    for _ in 0..CREATE_ATTEMPTS {
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(PASSABLE))
            .tempdir_in(base)
            .to("create a directory in", base)?
            .keep();
        // Someone else's sweep may have seen the directory before we locked it.
        if let Some(lock) = try_lock(&dir)?
            && still_there(&lock, &dir)
        {
            return Ok((dir, lock));
        }
    }
    Err(std::io::Error::other("it keeps being removed")).to("keep a directory in", base)
}

fn open_kept(dir: &Path) -> Result<(PathBuf, File), StackError> {
    if !dir.is_dir() {
        fs::create_dir_all(dir).to("create", dir)?;
        fs::set_permissions(dir, Permissions::from_mode(PASSABLE)).to("open up", dir)?;
    }
    let dir = fs::canonicalize(dir).to("find", dir)?;
    let Some(lock) = try_lock(&dir)? else {
        let pid = fs::read_to_string(dir.join(LOCK))
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        return Err(StackError::DataDirInUse { dir, pid });
    };
    leftovers::end(&dir);
    Ok((dir, lock))
}

/// `None` when another process holds the lock.
fn try_lock(dir: &Path) -> Result<Option<File>, StackError> {
    let path = dir.join(LOCK);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .to("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).to("lock", &path),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .to("write", &path)?;
    Ok(Some(file))
}

fn still_there(lock: &File, dir: &Path) -> bool {
    match (lock.metadata(), fs::metadata(dir.join(LOCK))) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Removes the temporary directories of this user whose owner is dead. Failing to is no reason not to start.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let stale = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|entry| lock_if_stale(&entry.path()).map(|lock| (entry.path(), lock)));
    for (dir, _lock) in stale {
        tracing::debug!("sweeping {}, whose owner is gone", dir.display());
        leftovers::end(&dir);
        remove(&dir);
    }
}

/// The lock of a directory that is ours and nobody's; `None` for every other.
fn lock_if_stale(dir: &Path) -> Option<Option<File>> {
    // Not following links, and only our own: anyone may create names in a shared temporary directory.
    let meta = fs::symlink_metadata(dir).ok()?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let Ok(lock) = File::open(dir.join(LOCK)) else {
        let age = meta.modified().ok()?.elapsed().ok()?;
        return (age > UNLOCKED_GRACE).then_some(None);
    };
    lock.try_lock().ok().map(|()| Some(lock))
}

fn remove(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "could not remove {}", dir.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_free_at_once_although_a_copy_of_its_lock_lives() {
        let parent = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(COMMON_TEMP)
            .expect("a directory");
        let dir = parent.path().join("data");
        let first = Home::open(Some(&dir)).expect("the first owner");
        let _of_a_child = first.lock.try_clone().expect("a copy");
        drop(first);
        Home::open(Some(&dir)).expect("the next owner");
    }
}
