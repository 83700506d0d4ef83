//! Fetches distribution packages and unpacks them into the cache, without installing anything and without being
//! root.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Software;
use crate::process::{last_lines, run};
use crate::progress::{Progress, Reporter};

/// Some 75 MB, over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);
/// Package lists are some 10 to 60 MB.
const UPDATE_LIMIT: Duration = Duration::from_secs(300);
/// Reads lists that are on the disk.
const QUERY_LIMIT: Duration = Duration::from_secs(60);
/// One package; LLVM-sized ones are skipped.
const UNPACK_LIMIT: Duration = Duration::from_secs(120);
/// Private package lists older than this are fetched again before they are used.
const LISTS_FRESH: Duration = Duration::from_secs(60 * 60);

/// Packages whose files are not unpacked. The C library has to be the one of the running loader; the others are
/// large, and what needs them (just-in-time compilation, the cluster scripts) is not used.
const SKIPPED: [&str; 8] = [
    "libc6_",
    "libc-bin_",
    "libllvm",
    "libz3-",
    "perl",
    "libperl",
    "postgresql-common",
    "postgresql-client-common",
];
/// The servers may run as another user than the one who fetches.
const READABLE: u32 = 0o755;

/// The directory of the unpacked packages. It names the distribution, so that an upgraded machine, whose
/// libraries differ, fetches anew.
pub(crate) fn tree(cache: &Path, software: Software) -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let value = release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or("unknown").trim_matches('"').replace('/', "-")
    };
    let (id, version) = (field("ID"), field("VERSION_ID"));
    cache.join(format!(
        "{}-{id}-{version}-{}",
        software.slug(),
        std::env::consts::ARCH
    ))
}

/// For the loader: the library directories of an unpacked tree.
pub(crate) fn library_path(tree: &Path) -> OsString {
    let mut dirs = Vec::new();
    for lib in [tree.join("usr/lib"), tree.join("lib")] {
        let entries = fs::read_dir(&lib).into_iter().flatten().flatten();
        let of_this_machine = entries
            .map(|entry| entry.path())
            .filter(|dir| dir.to_string_lossy().contains("-linux-"));
        // PulseAudio finds its own parts by a path of an installed one.
        dirs.extend(of_this_machine.flat_map(|dir| [dir.join("pulseaudio"), dir]));
        dirs.push(lib);
    }
    std::env::join_paths(dirs).unwrap_or_default()
}

/// Fetches `software` into its tree. One process at a time does that in a cache; one that finds the tree `usable`
/// when its turn comes leaves it as it is.
///
/// The error says what was tried and why it failed, for the list of things tried.
pub(crate) fn fetch(
    software: Software,
    cache: &Path,
    reporter: &Reporter,
    usable: impl Fn() -> bool,
) -> Result<(), String> {
    let io_error = |error: io::Error| format!("cannot fetch into {}: {error}", cache.display());
    if !in_path("apt-get") || !in_path("dpkg-deb") {
        return Err("cannot be fetched: that takes apt-get and dpkg-deb, and they are not here".to_owned());
    }
    fs::create_dir_all(cache)
        .and_then(|()| open_up(cache))
        .map_err(io_error)?;
    let lock = File::create(cache.join(format!("{}.lock", software.slug()))).map_err(io_error)?;
    if lock.try_lock().is_err() {
        reporter.tell(Progress::WaitingForFetch(software));
        lock.lock().map_err(io_error)?;
    }
    // Someone may have been quicker.
    if usable() {
        return Ok(());
    }
    let prefix = format!("fetch-{}.", software.slug());
    remove_abandoned(cache, &prefix);
    let work = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(cache)
        .map_err(io_error)?;
    open_up(work.path()).map_err(io_error)?;
    let debs = download(software, cache, work.path(), reporter)?;
    reporter.tell(Progress::Unpacking(software));
    let unpacked = work.path().join("tree");
    unpack(&debs, &unpacked)?;
    let tree = tree(cache, software);
    if tree.exists() {
        fs::rename(&tree, work.path().join("unusable")).map_err(io_error)?;
    }
    fs::rename(&unpacked, &tree).map_err(io_error)
}

fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(READABLE))
}

/// Removes what a killed fetch left. We hold the lock, so nobody works there.
fn remove_abandoned(cache: &Path, prefix: &str) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Tries the machine's package lists, then private ones, which are fetched unless they are fresh.
fn download(
    software: Software,
    cache: &Path,
    work: &Path,
    reporter: &Reporter,
) -> Result<Vec<PathBuf>, String> {
    reporter.tell(Progress::Downloading(software));
    let first = match (Apt { work, lists: None }).download(software) {
        Ok(debs) => return Ok(debs),
        Err(reason) => reason,
    };
    let lists = cache.join("apt-lists");
    let updated = update_lists(&lists, work, reporter);
    reporter.tell(Progress::Downloading(software));
    // An update that failed in part (one source of several) may still have brought what is needed.
    (Apt {
        work,
        lists: Some(&lists),
    })
    .download(software)
    .map_err(|second| {
        let updated = updated
            .err()
            .map(|reason| format!("\n{reason}"))
            .unwrap_or_default();
        format!("cannot be fetched: {first}\nand with package lists of our own:{updated}\n{second}")
    })
}

/// Fetches package lists of our own. Whoever wants to while another does waits and takes the other's.
fn update_lists(lists: &Path, work: &Path, reporter: &Reporter) -> Result<(), String> {
    let io_error = |error: io::Error| format!("cannot fetch lists into {}: {error}", lists.display());
    fs::create_dir_all(lists.join("partial"))
        .and_then(|()| open_up(lists))
        .map_err(io_error)?;
    let stamp = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lists.with_extension("lock"));
    let mut stamp = stamp.map_err(io_error)?;
    stamp.lock().map_err(io_error)?;
    let meta = stamp.metadata().map_err(io_error)?;
    let age = meta.modified().ok().and_then(|modified| modified.elapsed().ok());
    // Empty: made just now, or its update failed.
    if meta.len() > 0 && age.is_some_and(|age| age < LISTS_FRESH) {
        return Ok(());
    }
    reporter.tell(Progress::UpdatingLists);
    stamp.set_len(0).map_err(io_error)?;
    let mut command = (Apt {
        work,
        lists: Some(lists),
    })
    .command("apt-get");
    // By default a source that cannot be reached is only a warning.
    command.args(["-qq", "-o", "APT::Update::Error-Mode=any", "update"]);
    checked(command, "apt-get update", UPDATE_LIMIT)?;
    stamp
        .rewind()
        .and_then(|()| stamp.write_all(b"updated\n"))
        .map_err(io_error)
}

fn unpack(debs: &[PathBuf], tree: &Path) -> Result<(), String> {
    for deb in debs {
        let name = deb.file_name().unwrap_or_default().to_string_lossy();
        if SKIPPED.iter().any(|skipped| name.starts_with(skipped)) {
            continue;
        }
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(deb).arg(tree);
        checked(command, &format!("unpacking {name}"), UNPACK_LIMIT)?;
    }
    Ok(())
}

/// apt-get without its system directories: it needs no rights and takes no lock that others wait for.
struct Apt<'a> {
    /// Of this fetch alone.
    work: &'a Path,
    /// Package lists of our own, for when the machine's are missing or name versions that are gone.
    lists: Option<&'a Path>,
}

impl Apt<'_> {
    /// Downloads the packages and all of their dependencies that are not installed.
    fn download(&self, software: Software) -> Result<Vec<PathBuf>, String> {
        let archives = self.archives();
        fs::create_dir_all(archives.join("partial")).map_err(|error| error.to_string())?;
        let packages = self.packages(software)?;
        let mut command = self.command("apt-get");
        // --reinstall: also what is installed, because a search may have been told to ignore the machine.
        command.args([
            "-qq",
            "-y",
            "--no-install-recommends",
            "--reinstall",
            "--download-only",
            "install",
        ]);
        command.args(&packages);
        let output = checked(command, "apt-get --download-only install", DOWNLOAD_LIMIT)?;
        let files = fs::read_dir(&archives).map_err(|error| error.to_string())?;
        let debs: Vec<PathBuf> = files
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        // With no lists at all it says "reinstallation is not possible" and calls that a success.
        let server = format!("{}_", packages[0]);
        let complete = debs.iter().any(|deb| {
            deb.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&server))
        });
        if complete {
            Ok(debs)
        } else {
            Err(format!(
                "apt-get downloaded no {}: {}",
                packages[0],
                last_lines(&output)
            ))
        }
    }

    fn archives(&self) -> PathBuf {
        self.work.join("archives")
    }

    fn packages(&self, software: Software) -> Result<Vec<String>, String> {
        match software {
            Software::Redis => return Ok(vec!["redis-server".to_owned(), "redis-tools".to_owned()]),
            Software::Prometheus => return Ok(vec!["prometheus".to_owned()]),
            Software::Chromium => return Ok(vec!["chromium-headless-shell".to_owned()]),
            Software::Postgres => {}
        }
        let mut command = self.command("apt-cache");
        command.args(["depends", "postgresql"]);
        let depends = checked(command, "apt-cache depends postgresql", QUERY_LIMIT)?;
        let server = find_server_package(&depends).ok_or("apt-cache names no version of postgresql")?;
        let client = server.replacen("postgresql", "postgresql-client", 1);
        Ok(vec![server, client, "libpq5".to_owned()])
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        let mut option = |name: &str, value: &Path| {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        };
        option("Debug::NoLocking", Path::new("true"));
        option("Acquire::Retries", Path::new("2"));
        option("Acquire::Languages", Path::new("none"));
        option("Dir::Cache::archives", &self.archives());
        if let Some(lists) = self.lists {
            option("Dir::State::lists", lists);
            option("Dir::Cache::pkgcache", &self.work.join("pkgcache.bin"));
            option("Dir::Cache::srcpkgcache", &self.work.join("srcpkgcache.bin"));
        }
        command
    }
}

/// From `  Depends: postgresql-15`.
fn find_server_package(depends: &str) -> Option<String> {
    depends.lines().find_map(|line| {
        let package = line.trim().strip_prefix("Depends: ")?;
        package.strip_prefix("postgresql-")?.parse::<u32>().ok()?;
        Some(package.to_owned())
    })
}

fn checked(command: Command, doing: &str, limit: Duration) -> Result<String, String> {
    match run(command, limit) {
        Ok((status, output)) if status.success() => Ok(output),
        Ok((status, output)) => Err(format!("{doing} failed ({status}): {}", last_lines(&output))),
        Err(error) => Err(format!("{doing} failed: {error}")),
    }
}

fn in_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_package_is_the_one_with_a_number() {
        let depends = "postgresql\n  Depends: postgresql-common\n  Depends: postgresql-17\n  Suggests: postgresql-doc\n";
        assert_eq!(find_server_package(depends).as_deref(), Some("postgresql-17"));
        assert_eq!(
            find_server_package("N: Unable to locate package postgresql\n"),
            None
        );
    }
}
