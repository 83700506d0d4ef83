//! Where the programs are: on the machine, in the cache, or fetched into it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{last_lines, run};
use crate::progress::Reporter;
use crate::user::ServiceUser;
use crate::{Software, StackError, fetch};

/// `XAUTOCLAIM`, with which a dead worker's entries are taken over, came with Redis 6.2.
const OLDEST_REDIS: Version = Version { major: 6, minor: 2 };
/// lz4 compression of columns came with Postgres 14.
const OLDEST_POSTGRES: Version = Version { major: 14, minor: 0 };
/// `promtool check metrics` and unit tests of rules, as they are used here.
const OLDEST_PROMETHEUS: Version = Version { major: 2, minor: 40 };
/// What Debian had two years ago; the ops page asks for nothing newer.
const OLDEST_CHROMIUM: Version = Version { major: 123, minor: 0 };
/// Asking a program for its version reads one file; a cold disk may be slow.
const VERSION_LIMIT: Duration = Duration::from_secs(20);
/// Directories whose children, one per Postgres version, hold `bin`.
const VERSIONED_HOMES: [&str; 5] = [
    "/usr/lib/postgresql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/usr",
    "/Library/PostgreSQL",
];
const USUAL_DIRS: [&str; 5] = [
    "/usr/bin",
    "/usr/local/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/bin",
    "/usr/sbin",
];

/// Where the programs may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Look on the machine: in `PATH` and where distributions put them.
    pub machine: bool,
    /// Look here instead of in `~/.cache/tollgate` (`$XDG_CACHE_HOME/tollgate`; for root `/var/cache/tollgate`
    /// when the former is closed to other users), and fetch to here.
    pub cache_dir: Option<PathBuf>,
    /// Fetch what is missing. It is unpacked into the cache, never installed.
    pub fetch: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            machine: true,
            cache_dir: None,
            fetch: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A server program that runs here.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) version: Version,
    /// Set for unpacked programs, whose libraries the loader would not find.
    libraries: Option<OsString>,
}

impl Program {
    /// A command with an environment that says nothing of ours: no secrets, no `PG*` settings, English messages.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().env("LC_ALL", "C").env("TZ", "GMT");
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// The program of that name in the same directory.
    pub(crate) fn sibling(&self, name: &str) -> Self {
        Self {
            path: self.path.with_file_name(name),
            ..self.clone()
        }
    }
}

/// What is looked for.
pub(crate) struct Wanted<'a> {
    pub(crate) software: Software,
    /// The major version that wrote the data, if there is any.
    pub(crate) major: Option<u32>,
    /// As whom it will run.
    pub(crate) user: Option<&'a ServiceUser>,
}

/// Finds the program, or fetches it.
pub(crate) fn locate(
    wanted: &Wanted<'_>,
    sources: &Sources,
    reporter: &Reporter,
) -> Result<Program, StackError> {
    let mut tried = Vec::new();
    if sources.machine {
        if let Some(program) = first_usable(wanted, machine_candidates(wanted.software), None, &mut tried) {
            return Ok(program);
        }
        if tried.is_empty() {
            let names = server_names(wanted.software).join(" or ");
            tried.push(format!("no {names} in PATH or the usual directories"));
        }
    }
    match cache_dir(sources, wanted.user) {
        None => tried.push("no cache: neither HOME nor XDG_CACHE_HOME is set".to_owned()),
        Some(cache) => {
            let tree = fetch::tree(&cache, wanted.software);
            if let Some(program) = in_tree(wanted, &tree, &mut tried) {
                return Ok(program);
            }
            if !sources.fetch {
                tried.push(format!(
                    "nothing usable in {}, and fetching is switched off",
                    tree.display()
                ));
            } else if let Some(program) = fetched(wanted, &cache, &tree, reporter, &mut tried) {
                return Ok(program);
            }
        }
    }
    Err(StackError::NotFound {
        software: wanted.software,
        tried,
    })
}

fn fetched(
    wanted: &Wanted<'_>,
    cache: &Path,
    tree: &Path,
    reporter: &Reporter,
    tried: &mut Vec<String>,
) -> Option<Program> {
    let usable = || in_tree(wanted, tree, &mut Vec::new()).is_some();
    match fetch::fetch(wanted.software, cache, reporter, usable) {
        Ok(()) => in_tree(wanted, tree, tried),
        Err(reason) => {
            tried.push(reason);
            None
        }
    }
}

fn in_tree(wanted: &Wanted<'_>, tree: &Path, tried: &mut Vec<String>) -> Option<Program> {
    let mut dirs = subdirs(&tree.join("usr/lib/postgresql"), "bin");
    // What is in `usr/bin` calls this by a path of an installed one.
    dirs.push(tree.join("usr/lib/chromium"));
    dirs.push(tree.join("usr/bin"));
    first_usable(
        wanted,
        candidates(wanted.software, &dirs),
        Some(fetch::library_path(tree)),
        tried,
    )
}

fn first_usable(
    wanted: &Wanted<'_>,
    candidates: Vec<PathBuf>,
    libraries: Option<OsString>,
    tried: &mut Vec<String>,
) -> Option<Program> {
    for path in candidates {
        match check(wanted, &path, libraries.clone()) {
            Ok(program) => return Some(program),
            Err(reason) => tried.push(format!("{}: {reason}", path.display())),
        }
    }
    None
}

fn check(wanted: &Wanted<'_>, path: &Path, libraries: Option<OsString>) -> Result<Program, String> {
    // Postgres comes with links to it (/usr/local/bin/postgres); initdb is beside the real one.
    let path = if wanted.software == Software::Postgres {
        fs::canonicalize(path).map_err(|error| error.to_string())?
    } else {
        path.to_owned()
    };
    let mut program = Program {
        path,
        libraries,
        version: OLDEST_POSTGRES,
    };
    if wanted.software == Software::Postgres && !program.sibling("initdb").path.is_file() {
        return Err("there is no initdb beside it".to_owned());
    }
    if wanted.software == Software::Prometheus && !program.sibling("promtool").path.is_file() {
        return Err("there is no promtool beside it".to_owned());
    }
    if let (Some(user), Some(dir)) = (wanted.user, program.path.parent())
        && !user.can_enter(dir)
    {
        return Err("its directory is closed to the user as whom the servers run".to_owned());
    }
    let mut command = program.command();
    command.arg("--version");
    let (status, output) = run(command, VERSION_LIMIT).map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("does not run: {}", last_lines(&output)));
    }
    program.version =
        parse_version(&output).ok_or_else(|| format!("of unknown version: {}", output.trim()))?;
    suits(wanted, program.version)?;
    Ok(program)
}

fn suits(wanted: &Wanted<'_>, version: Version) -> Result<(), String> {
    let oldest = match wanted.software {
        Software::Redis => OLDEST_REDIS,
        Software::Postgres => OLDEST_POSTGRES,
        Software::Prometheus => OLDEST_PROMETHEUS,
        Software::Chromium => OLDEST_CHROMIUM,
    };
    if version < oldest {
        return Err(format!("version {version} is older than {oldest}"));
    }
    match wanted.major {
        Some(major) if major != version.major => Err(format!(
            "version {version} cannot open the data directory, which version {major} wrote"
        )),
        _ => Ok(()),
    }
}

/// Reads `postgres (PostgreSQL) 15.10 (Debian ...)`, `18beta1`, and `Redis server v=7.0.15 sha=...`.
fn parse_version(output: &str) -> Option<Version> {
    output.split_whitespace().find_map(|word| {
        let mut parts = word
            .strip_prefix("v=")
            .unwrap_or(word)
            .split('.')
            .map(leading_number);
        Some(Version {
            major: parts.next()??,
            minor: parts.next().flatten().unwrap_or(0),
        })
    })
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn server_names(software: Software) -> &'static [&'static str] {
    match software {
        Software::Redis => &["redis-server", "valkey-server"],
        Software::Postgres => &["postgres"],
        Software::Prometheus => &["prometheus"],
        Software::Chromium => &[
            "chromium-headless-shell",
            "chromium",
            "chromium-browser",
            "google-chrome",
        ],
    }
}

fn machine_candidates(software: Software) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    if software == Software::Postgres {
        dirs.extend(
            VERSIONED_HOMES
                .iter()
                .flat_map(|home| subdirs(Path::new(home), "bin")),
        );
    }
    dirs.extend(USUAL_DIRS.iter().map(PathBuf::from));
    candidates(software, &dirs)
}

/// The files of the right name in `dirs`, each real file once.
fn candidates(software: Software, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let paths = dirs
        .iter()
        .flat_map(|dir| server_names(software).iter().map(move |name| dir.join(name)));
    paths
        .filter(|path| {
            let Ok(real) = fs::canonicalize(path) else {
                return false;
            };
            let new = real.is_file() && !seen.contains(&real);
            seen.push(real);
            new
        })
        .collect()
}

/// `home/*/{leaf}` for the children that look like a Postgres version, newest first.
fn subdirs(home: &Path, leaf: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(home)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((postgres_major(&entry.file_name())?, entry.path().join(leaf))))
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// `15`, `postgresql@15` and `pgsql-15` are 15; `postgresql` without a number is the newest.
fn postgres_major(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?;
    let number = name
        .strip_prefix("postgresql@")
        .or(name.strip_prefix("pgsql-"))
        .unwrap_or(name);
    if name == "postgresql" {
        Some(u32::MAX)
    } else {
        number.parse().ok()
    }
}

/// Root's own cache is usually closed to the user as whom the servers run; then it is the system's.
fn cache_dir(sources: &Sources, user: Option<&ServiceUser>) -> Option<PathBuf> {
    if let Some(dir) = &sources.cache_dir {
        return Some(dir.clone());
    }
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let own = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    match (own, user) {
        (Some(own), Some(user)) if user.can_enter(&own) => Some(own.join("tollgate")),
        (_, Some(_)) => Some(PathBuf::from("/var/cache/tollgate")),
        (own, None) => own.map(|own| own.join("tollgate")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_servers_print() {
        let cases = [
            ("postgres (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)\n", (15, 10)),
            ("postgres (PostgreSQL) 19devel\n", (19, 0)),
            ("postgres (PostgreSQL) 18beta1\n", (18, 0)),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n",
                (7, 0),
            ),
            ("prometheus, version 2.42.0+ds (branch: debian/sid)\n", (2, 42)),
            ("Chromium 156.0.8078.79 built on Debian\n", (156, 0)),
            (
                "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n",
                (8, 1),
            ),
        ];
        for (output, (major, minor)) in cases {
            assert_eq!(parse_version(output), Some(Version { major, minor }), "{output}");
        }
        assert_eq!(parse_version("error while loading shared libraries"), None);
    }

    #[test]
    fn names_of_version_directories() {
        let major = |name: &str| postgres_major(OsStr::new(name));
        assert_eq!(major("15"), Some(15));
        assert_eq!(major("postgresql@17"), Some(17));
        assert_eq!(major("pgsql-16"), Some(16));
        assert_eq!(major("lib"), None);
    }

    #[test]
    fn data_of_another_major_version_is_refused() {
        let wanted = Wanted {
            software: Software::Postgres,
            major: Some(15),
            user: None,
        };
        assert!(suits(&wanted, Version { major: 15, minor: 2 }).is_ok());
        assert!(suits(&wanted, Version { major: 17, minor: 0 }).is_err());
    }
}
