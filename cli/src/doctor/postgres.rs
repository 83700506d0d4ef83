//! Postgres: that it keeps what it confirms, has the schema, protects users from each other, and has room.

use std::error::Error;

use shared::clock::Clock;
use shared::config::{Env, Reader};
use shared::queue::roster::WorkerSeen;
use store::{ApiRole, SchemaError, Store, StoreError, Vitals};
use worker::config::{SPARE_CONNECTIONS, WorkerConfig};

use super::clocks;
use super::finding::{Finding, fail, ok, skipped, warn};
use crate::config::Which;

/// The oldest Postgres that works, as it says its number: views that look with the rights of who asks came with it.
const OLDEST: i32 = 150_000;
/// Connections for commands and for looking.
const ASIDE: i64 = 3;

struct Seen {
    vitals: Vitals,
    unsafe_settings: Vec<String>,
    schema: Result<(), SchemaError>,
    /// Connections that what runs, or is to run, may take together.
    wanted: i64,
    /// Whether an API is to work on it.
    has_api: bool,
}

pub(super) async fn examine(
    roles: &[Which],
    env: &Env,
    clock: &Clock,
    workers: &[WorkerSeen],
) -> Result<Vec<Finding>, Box<dyn Error>> {
    if roles == [Which::Ingest] {
        return Ok(vec![skipped(
            "postgres.reachable",
            "ingest does not know Postgres",
        )]);
    }
    let mut reader = Reader::new(env);
    let url = worker::config::database_url(&mut reader);
    let Ok(url) = reader.finish(url) else {
        return Ok(vec![skipped(
            "postgres.reachable",
            "DATABASE_URL cannot be used; see settings",
        )]);
    };
    let store = Store::new(&url, "tollgate-doctor", 1)?;
    let has_api = roles.contains(&Which::Api);
    let wanted = wanted(env, workers, has_api);
    let findings = match look(&store, clock, wanted, has_api).await {
        Ok(seen) => judge(&seen),
        Err(error) => vec![fail(
            "postgres.reachable",
            error.message(),
            "start Postgres, open the way to it, or mend DATABASE_URL",
        )],
    };
    store.close().await;
    Ok(findings)
}

async fn look(store: &Store, clock: &Clock, wanted: i64, has_api: bool) -> Result<Seen, StoreError> {
    Ok(Seen {
        vitals: store.vitals(clock).await?,
        unsafe_settings: store.unsafe_settings().await?,
        schema: store.check_schema().await,
        wanted,
        has_api,
    })
}

/// Each worker that lives takes what it says, or, where none does, one what is set here; so does an API.
fn wanted(env: &Env, workers: &[WorkerSeen], has_api: bool) -> i64 {
    let slots = workers
        .iter()
        .filter(|it| it.alive)
        .filter_map(|it| it.about.as_ref());
    let of_workers: i64 = slots
        .map(|about| i64::try_from(about.slots).unwrap_or(i64::MAX) + i64::from(SPARE_CONNECTIONS))
        .sum();
    let of_one = || WorkerConfig::from_env(env).map_or(0, |config| i64::from(config.connections_max()));
    let of_api = || api::ApiConfig::from_env(env).map_or(0, |config| i64::from(config.connections_max));
    let of_workers = if of_workers == 0 { of_one() } else { of_workers };
    of_workers + if has_api { of_api() } else { 0 } + ASIDE
}

fn judge(seen: &Seen) -> Vec<Finding> {
    let vitals = &seen.vitals;
    let mut findings = vec![
        ok("postgres.reachable", "it answers"),
        version(vitals),
        encoding(vitals),
        durability(&seen.unsafe_settings),
        schema(&seen.schema),
        connections(vitals, seen.wanted),
        clocks::judge("clock.postgres", "Postgres", vitals.ahead_ms, 0),
    ];
    findings.push(api_role(vitals.api_role, seen.has_api));
    findings
}

fn version(vitals: &Vitals) -> Finding {
    let name = "postgres.version";
    if vitals.version_number < OLDEST {
        return fail(name, &*vitals.version, "use Postgres 15 or newer");
    }
    ok(name, &*vitals.version)
}

fn encoding(vitals: &Vitals) -> Finding {
    let name = "postgres.encoding";
    if vitals.encoding != "UTF8" {
        let remedy = "make the database anew with ENCODING 'UTF8': names and bodies are";
        return fail(name, &*vitals.encoding, remedy);
    }
    ok(name, "UTF8")
}

fn durability(unsafe_settings: &[String]) -> Finding {
    let name = "postgres.durability";
    if unsafe_settings.is_empty() {
        return ok(name, "fsync, full_page_writes and synchronous_commit are on");
    }
    fail(
        name,
        format!(
            "{}: what was confirmed can be lost in a crash",
            unsafe_settings.join(", ")
        ),
        "turn them on, for the server, the database and the role",
    )
}

fn schema(schema: &Result<(), SchemaError>) -> Finding {
    let name = "postgres.schema";
    match schema {
        Ok(()) => ok(name, "suits this build"),
        Err(SchemaError::Behind(migration)) => fail(
            name,
            format!("it lacks migration {migration}"),
            "run `tollgate migrate`",
        ),
        Err(error) => fail(
            name,
            error.to_string(),
            "see what it says; `tollgate migrate --dry-run` changes nothing",
        ),
    }
}

fn connections(vitals: &Vitals, wanted: i64) -> Finding {
    let (name, max) = ("postgres.connections", vitals.connections_max);
    let seen = format!(
        "up to {wanted} of {max} are wanted, {} are open",
        vitals.connections
    );
    if wanted > max {
        let remedy = "raise max_connections, or lower TOLLGATE_WORKER_CONCURRENCY and TOLLGATE_API_DATABASE_CONNECTIONS";
        return warn(name, seen, remedy);
    }
    ok(name, seen)
}

fn api_role(role: Option<ApiRole>, has_api: bool) -> Finding {
    let name = "postgres.api_role";
    let Some(role) = role else {
        return fail(name, "there is no role tollgate_api", "run `tollgate migrate`");
    };
    if role.bypasses {
        let remedy = "let an administrator run ALTER ROLE tollgate_api NOSUPERUSER NOBYPASSRLS";
        return fail(name, "tollgate_api may pass over row-level security", remedy);
    }
    if role.owns {
        let remedy = "let another role own the tables: row-level security does not apply to owners";
        return fail(name, "tollgate_api owns tables", remedy);
    }
    if has_api && !role.is_open_to_us {
        let remedy = "GRANT tollgate_api TO the login of DATABASE_URL";
        return fail(
            name,
            "the login of DATABASE_URL may not work as tollgate_api",
            remedy,
        );
    }
    ok(name, "tollgate_api sees what policies show it, and owns nothing")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    type Spoil<'a> = &'a dyn Fn(&mut Seen);

    fn good() -> Seen {
        Seen {
            vitals: Vitals {
                version: "17.1".into(),
                version_number: 170_001,
                ahead_ms: -2,
                connections_max: 97,
                connections: 12,
                encoding: "UTF8".into(),
                api_role: Some(ApiRole {
                    bypasses: false,
                    owns: false,
                    is_open_to_us: true,
                }),
            },
            unsafe_settings: Vec::new(),
            schema: Ok(()),
            wanted: 40,
            has_api: true,
        }
    }

    #[test]
    fn each_assumption_that_does_not_hold_is_found_alone() {
        assert!(judge(&good()).iter().all(|it| it.verdict == Verdict::Ok));
        let role = |it: &mut Seen, change: fn(&mut ApiRole)| {
            it.vitals.api_role.as_mut().into_iter().for_each(change);
        };
        let cases: [(&str, Verdict, Spoil<'_>); 10] = [
            ("postgres.version", Verdict::Fail, &|it| {
                it.vitals.version_number = 140_012
            }),
            ("postgres.encoding", Verdict::Fail, &|it| {
                it.vitals.encoding = "SQL_ASCII".into()
            }),
            ("postgres.durability", Verdict::Fail, &|it| {
                it.unsafe_settings.push("fsync = off".into())
            }),
            ("postgres.schema", Verdict::Fail, &|it| {
                it.schema = Err(SchemaError::Behind("0035".into()))
            }),
            ("postgres.connections", Verdict::Warn, &|it| it.wanted = 98),
            ("clock.postgres", Verdict::Warn, &|it| it.vitals.ahead_ms = 5_000),
            ("postgres.api_role", Verdict::Fail, &|it| {
                it.vitals.api_role = None
            }),
            ("postgres.api_role", Verdict::Fail, &|it| {
                role(it, |role| role.bypasses = true)
            }),
            ("postgres.api_role", Verdict::Fail, &|it| {
                role(it, |role| role.owns = true)
            }),
            ("postgres.api_role", Verdict::Fail, &|it| {
                role(it, |role| role.is_open_to_us = false)
            }),
        ];
        for (name, expected, spoil) in cases {
            let mut seen = good();
            spoil(&mut seen);
            let bad: Vec<Finding> = judge(&seen)
                .into_iter()
                .filter(|it| it.verdict != Verdict::Ok)
                .collect();
            let [one] = &bad[..] else {
                panic!("{name}: {bad:?}")
            };
            assert_eq!((&*one.name, one.verdict), (name, expected));
            assert!(one.remedy.is_some(), "{name}");
        }
    }

    #[test]
    fn connections_are_those_of_all_workers_that_live() {
        let worker = |alive| WorkerSeen {
            alive,
            about: Some(shared::queue::roster::About {
                version: "1".into(),
                slots: 4,
                resting: None,
            }),
            ..WorkerSeen::default()
        };
        let workers = [worker(true), worker(true), worker(false)];
        assert_eq!(
            wanted(&Env::default(), &workers, false),
            2 * (4 + i64::from(SPARE_CONNECTIONS)) + ASIDE
        );
        assert_eq!(wanted(&Env::default(), &[], false), ASIDE, "nothing is known");
    }
}
