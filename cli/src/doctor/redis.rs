//! Redis: that it keeps what it is given, and that the queue in it is worked on.

use shared::clock::Clock;
use shared::config::{Common, Env, Reader};
use shared::queue::roster::{Roster, WorkerSeen};
use shared::queue::{Durability, DurabilityReport, Pause, Probe, QueueError, Vitals};

use super::clocks;
use super::finding::{Finding, fail, ok, skipped, warn};
use crate::config::Which;

/// The oldest Redis that works, and the oldest with everything.
const OLDEST: (u32, u32) = (6, 2);
const WHOLE: (u32, u32) = (7, 0);
/// Percent of `maxmemory` in use from which somebody should look.
const MEMORY_PERCENT: u64 = 75;

/// What was found, and who works, for who asks Postgres.
pub(super) struct Examined {
    pub findings: Vec<Finding>,
    pub workers: Vec<WorkerSeen>,
}

struct Seen {
    vitals: Vitals,
    report: DurabilityReport,
    pause: Option<Pause>,
    roster: Roster,
}

pub(super) async fn examine(roles: &[Which], env: &Env, clock: &Clock) -> Examined {
    let mut reader = Reader::new(env);
    let common = Common::read(&mut reader);
    let none = |finding| Examined {
        findings: vec![finding],
        workers: Vec::new(),
    };
    let Ok(common) = reader.finish(common) else {
        return none(skipped(
            "redis.reachable",
            "REDIS_URL cannot be used; see settings",
        ));
    };
    match look(&common, clock).await {
        Ok(seen) => Examined {
            findings: judge(&seen, demanded(env), roles.contains(&Which::Worker)),
            workers: seen.roster.workers,
        },
        Err(error) => none(fail(
            "redis.reachable",
            error.to_string(),
            "start Redis, open the way to it, or mend REDIS_URL",
        )),
    }
}

async fn look(common: &Common, clock: &Clock) -> Result<Seen, QueueError> {
    let mut probe = Probe::new(&common.redis_url, &common.redis_prefix)?;
    Ok(Seen {
        vitals: probe.vitals(clock).await?,
        report: probe.durability().await?,
        pause: probe.paused().await?,
        roster: probe.roster().await?,
    })
}

/// What ingest demands; what cannot be read is found with the settings.
fn demanded(env: &Env) -> Durability {
    let set = env.get("TOLLGATE_REDIS_DURABILITY");
    set.and_then(|text| text.parse().ok())
        .unwrap_or(Durability::Everysec)
}

fn judge(seen: &Seen, demanded: Durability, has_worker: bool) -> Vec<Finding> {
    let Vitals {
        version,
        ahead_ms,
        shards,
        without_group,
    } = &seen.vitals;
    let mut findings = vec![
        ok("redis.reachable", format!("{} shards of the queue", shards.len())),
        version_of(version),
        role(&seen.report),
        durability(&seen.report, demanded),
        eviction(&seen.report),
        memory(&seen.report),
        clocks::judge("clock.redis", "Redis", *ahead_ms, 0),
        paused(seen.pause.as_ref()),
    ];
    if has_worker {
        findings.push(workers(&seen.roster));
    }
    findings.push(if without_group.is_empty() {
        ok("queue.groups", "every shard with entries has its group")
    } else {
        let seen = format!("nobody has read shards {without_group:?} yet, and they have entries");
        warn(
            "queue.groups",
            seen,
            "start a worker: it makes the groups, and misses nothing",
        )
    });
    findings
}

fn version_of(version: &str) -> Finding {
    let name = "redis.version";
    let mut numbers = version.split('.').map_while(|word| word.parse().ok());
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if number < OLDEST {
        return fail(
            name,
            version,
            format!("use Redis {}.{} or newer", WHOLE.0, WHOLE.1),
        );
    }
    if number < WHOLE {
        let remedy = "use Redis 7.0 or newer: with older ones a worker that starts while Redis is full waits until it is not";
        return warn(name, version, remedy);
    }
    ok(name, version)
}

fn role(report: &DurabilityReport) -> Finding {
    let name = "redis.role";
    if report.is_replica {
        let remedy = "let REDIS_URL lead to the master: what ingest accepts has to be written";
        return fail(name, "a replica, which takes no writes", remedy);
    }
    ok(
        name,
        format!("the master, with {} replicas in step", report.replicas),
    )
}

fn durability(report: &DurabilityReport, demanded: Durability) -> Finding {
    let (name, provides) = ("redis.durability", report.provides);
    if provides < demanded {
        return fail(
            name,
            format!("{provides}, and {demanded} is demanded: ingest accepts nothing"),
            format!("set `appendonly yes` and `appendfsync {demanded}` in Redis"),
        );
    }
    match provides {
        Durability::Unsafe => warn(
            name,
            "unsafe: what was accepted since the last snapshot is lost with Redis's machine",
            "set `appendonly yes` in Redis, and do not set TOLLGATE_REDIS_DURABILITY to unsafe",
        ),
        Durability::Everysec => ok(name, "everysec: all but about the last second survives"),
        Durability::Always => ok(name, "always: everything that was accepted survives"),
    }
}

fn eviction(report: &DurabilityReport) -> Finding {
    let name = "redis.eviction";
    match report.eviction_policy.as_deref() {
        Some("noeviction") => ok(name, "noeviction"),
        None => skipped(name, "Redis does not tell its maxmemory-policy"),
        Some(policy) => fail(
            name,
            format!("maxmemory-policy is {policy}, which may delete accepted events"),
            "set `maxmemory-policy noeviction` in Redis; caches want a Redis of their own",
        ),
    }
}

fn memory(report: &DurabilityReport) -> Finding {
    let name = "redis.memory";
    let (used, max) = (report.memory_bytes, report.memory_bytes_max);
    if max == 0 {
        let seen = format!("{} MiB in use, and no maxmemory", used >> 20);
        let remedy = "set `maxmemory` below what the machine has: without one the kernel ends a Redis that grew too large";
        return warn(name, seen, remedy);
    }
    let seen = format!("{} of {} MiB in use", used >> 20, max >> 20);
    if used > max / 100 * MEMORY_PERCENT {
        let remedy = "give Redis more, or start workers: at 90 % ingest accepts nothing more";
        return warn(name, seen, remedy);
    }
    ok(name, seen)
}

fn paused(pause: Option<&Pause>) -> Finding {
    let name = "queue.paused";
    match pause {
        None => ok(name, "not paused"),
        Some(it) => warn(
            name,
            format!("paused by {}: {}", it.by, it.why),
            "`tollgate queue resume`, when the reason is over",
        ),
    }
}

fn workers(roster: &Roster) -> Finding {
    let name = "queue.workers";
    let living = roster.workers.iter().filter(|it| it.alive).count();
    if living == 0 {
        return warn(
            name,
            "no worker lives",
            "start one: nothing is applied until then",
        );
    }
    ok(name, format!("{living} live"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    type Spoil<'a> = &'a dyn Fn(&mut Seen);

    fn good() -> Seen {
        let living = WorkerSeen {
            alive: true,
            ..WorkerSeen::default()
        };
        Seen {
            vitals: Vitals {
                version: "7.2.16".into(),
                ahead_ms: 3,
                shards: (0..8).collect(),
                without_group: Default::default(),
            },
            report: DurabilityReport {
                provides: Durability::Everysec,
                is_replica: false,
                replicas: 0,
                eviction_policy: Some("noeviction".into()),
                memory_bytes_max: 1 << 30,
                memory_bytes: 1 << 20,
            },
            pause: None,
            roster: Roster {
                workers: vec![living],
                handed_back: 0,
            },
        }
    }

    #[test]
    fn each_assumption_that_does_not_hold_is_found_alone() {
        assert!(
            judge(&good(), Durability::Everysec, true)
                .iter()
                .all(|it| it.verdict == Verdict::Ok)
        );
        let pause = Pause {
            by: "jo".into(),
            why: "a move".into(),
            at_ms: 1,
        };
        let cases: [(&str, Verdict, Spoil<'_>); 11] = [
            ("redis.version", Verdict::Fail, &|it| {
                it.vitals.version = "5.0.1".into()
            }),
            ("redis.version", Verdict::Warn, &|it| {
                it.vitals.version = "6.2.14".into()
            }),
            ("redis.role", Verdict::Fail, &|it| it.report.is_replica = true),
            ("redis.durability", Verdict::Fail, &|it| {
                it.report.provides = Durability::Unsafe
            }),
            ("redis.eviction", Verdict::Fail, &|it| {
                it.report.eviction_policy = Some("allkeys-lru".into())
            }),
            ("redis.memory", Verdict::Warn, &|it| {
                it.report.memory_bytes_max = 0
            }),
            ("redis.memory", Verdict::Warn, &|it| {
                it.report.memory_bytes = 900 << 20
            }),
            ("clock.redis", Verdict::Fail, &|it| it.vitals.ahead_ms = -60_000),
            ("queue.paused", Verdict::Warn, &|it| {
                it.pause = Some(pause.clone())
            }),
            ("queue.workers", Verdict::Warn, &|it| it.roster.workers.clear()),
            ("queue.groups", Verdict::Warn, &|it| {
                it.vitals.without_group = [3].into()
            }),
        ];
        for (name, expected, spoil) in cases {
            let mut seen = good();
            spoil(&mut seen);
            let bad: Vec<Finding> = judge(&seen, Durability::Everysec, true)
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
}
