//! What can be broken: a list of small items. What each does is in [`super::world`].

use serde::Serialize;

use Kind::{
    Backends, Cut, Exhaust, Failover, FlushScripts, HalfOpen, Kill, NoGroup, NoMemory, Restart, Roll,
};
use Kind::{Stall, Stop, Wipe};

/// Something that breaks, and what must hold all the same.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    /// As `--only` and reports name it.
    pub name: &'static str,
    /// What is done.
    pub about: &'static str,
    /// What must hold, beside what always must.
    pub holds: &'static str,
    /// Whether `--quick` has it.
    pub quick: bool,
    /// How long it stays broken, milliseconds: at least, and at most.
    pub lasts_ms: (u64, u64),
    /// How.
    #[serde(skip)]
    pub kind: Kind,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kill(Part),
    Stop,
    Cut(Way),
    Stall(Way),
    HalfOpen(Way),
    /// `FLUSHALL`, or a restart without the files.
    Wipe {
        disk: bool,
    },
    FlushScripts,
    NoGroup,
    NoMemory,
    Failover,
    Restart,
    Exhaust,
    Backends,
    Roll,
    /// An event whose handler panics, or ends the process.
    #[cfg(feature = "planted-bugs")]
    Poison {
        aborts: bool,
    },
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Worker,
    Ingest,
    Redis,
    Postgres,
}

/// Between two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Sender,
    IngestRedis,
    WorkerRedis,
    WorkerPostgres,
}

impl Fault {
    /// Whether others go on while it lasts.
    pub(super) fn is_background(&self) -> bool {
        self.kind == Stop
    }

    /// Whether what follows has to be calm, because it is measured how long taking over takes.
    pub(super) fn wants_calm(&self) -> bool {
        self.kind == Kill(Part::Worker)
    }

    /// Whether senders may get no answer at all while it lasts, and for how long afterwards, milliseconds.
    pub(super) fn silences_ingest(&self) -> Option<i64> {
        match self.kind {
            Kill(Part::Ingest) | Roll | Cut(Way::Sender) | Stall(Way::Sender) | HalfOpen(Way::Sender) => {
                Some(1_000)
            }
            _ => None,
        }
    }
}

impl Kind {
    /// What breaking and mending themselves take, milliseconds; more or less.
    pub(super) fn takes_ms(self) -> u64 {
        match self {
            Roll => 6_000,
            Exhaust => 1_500,
            Kill(Part::Postgres) => 1_500,
            Kill(Part::Ingest) => 1_000,
            Kill(Part::Redis) | Wipe { disk: true } | Restart => 500,
            _ => 100,
        }
    }
}

const AT_ONCE: (u64, u64) = (0, 0);
/// Around the longest wait for an answer of Redis's.
const A_WHILE: (u64, u64) = (1_000, 3_000);
const A_MOMENT: (u64, u64) = (300, 1_000);
/// Longer than a lease.
const PAST_THE_LEASE: (u64, u64) = (11_500, 13_000);

const fn fault(
    name: &'static str,
    kind: Kind,
    lasts_ms: (u64, u64),
    quick: bool,
    about: &'static str,
    holds: &'static str,
) -> Fault {
    Fault {
        name,
        about,
        holds,
        quick,
        lasts_ms,
        kind,
    }
}

/// All there are.
#[rustfmt::skip] // a table
pub(super) const FAULTS: &[Fault] = &[
    fault("kill-worker", Kill(Part::Worker), A_MOMENT, true,
        "kill -9 a worker in mid-transaction; start it again",
        "what it held is committed within its lease and 2 s"),
    fault("kill-ingest", Kill(Part::Ingest), A_MOMENT, true,
        "kill -9 ingest while requests are under way; start it again",
        "what it answered with 200 is in Redis"),
    fault("kill-redis", Kill(Part::Redis), A_MOMENT, true,
        "kill -9 Redis; start it again with its append-only file",
        "503 with Retry-After meanwhile; everything acknowledged is still there"),
    fault("kill-postgres", Kill(Part::Postgres), A_MOMENT, true,
        "kill -9 all of Postgres; start it again",
        "200 meanwhile; workers wait and park nothing"),
    fault("restart-postgres", Restart, AT_ONCE, false,
        "restart Postgres as an administrator would",
        "as kill-postgres"),
    fault("stop-worker", Stop, PAST_THE_LEASE, true,
        "stop a worker's clock past its lease (SIGSTOP), then let it go on (SIGCONT)",
        "others take over; its late commit changes nothing"),
    fault("roll", Roll, AT_ONCE, false,
        "replace all workers and ingest one after another under load (SIGTERM)",
        "each ends with status 0; what it held goes on at once"),
    fault("cut-sender", Cut(Way::Sender), AT_ONCE, false,
        "end all connections between Stripe and ingest",
        "no answer is no acknowledgement; the retry is absorbed"),
    fault("stall-sender", Stall(Way::Sender), A_WHILE, false,
        "let no byte through between Stripe and ingest",
        "as cut-sender"),
    fault("half-open-sender", HalfOpen(Way::Sender), A_WHILE, false,
        "end them for ingest only; Stripe's side hears nothing for a while",
        "as cut-sender"),
    fault("cut-ingest-redis", Cut(Way::IngestRedis), AT_ONCE, false,
        "end all connections between ingest and Redis",
        "503 with Retry-After, then new connections"),
    fault("stall-ingest-redis", Stall(Way::IngestRedis), A_WHILE, true,
        "let no byte through between ingest and Redis",
        "503 with Retry-After within seconds, never a timeout"),
    fault("half-open-ingest-redis", HalfOpen(Way::IngestRedis), AT_ONCE, false,
        "end them for Redis only; ingest's side hears nothing",
        "503 with Retry-After, then new connections"),
    fault("cut-worker-redis", Cut(Way::WorkerRedis), AT_ONCE, false,
        "end all connections between workers and Redis",
        "lost acknowledgements are absorbed"),
    fault("stall-worker-redis", Stall(Way::WorkerRedis), A_WHILE, false,
        "let no byte through between workers and Redis",
        "leases survive or are taken over; either is absorbed"),
    fault("half-open-worker-redis", HalfOpen(Way::WorkerRedis), AT_ONCE, false,
        "end them for Redis only; the workers' side hears nothing",
        "claims given to a dead connection are taken over"),
    fault("cut-worker-postgres", Cut(Way::WorkerPostgres), AT_ONCE, true,
        "end all connections between workers and Postgres",
        "commits with an unknown outcome are found out"),
    fault("stall-worker-postgres", Stall(Way::WorkerPostgres), A_WHILE, false,
        "let no byte through between workers and Postgres",
        "workers wait"),
    fault("half-open-worker-postgres", HalfOpen(Way::WorkerPostgres), AT_ONCE, false,
        "end them for Postgres only; the workers' side hears nothing",
        "workers find out by themselves, within a minute and a half"),
    fault("flush-redis", Wipe { disk: false }, AT_ONCE, false,
        "FLUSHALL",
        "what was in Redis is the gap, named by id; nothing else is missing"),
    fault("empty-redis", Wipe { disk: true }, AT_ONCE, false,
        "kill -9 Redis, delete its files, start it again",
        "as flush-redis"),
    fault("flush-scripts", FlushScripts, AT_ONCE, true,
        "SCRIPT FLUSH",
        "scripts are loaded again"),
    fault("destroy-group", NoGroup, AT_ONCE, true,
        "XGROUP DESTROY: nobody knows any more who holds what",
        "the group is made again; what comes twice is absorbed"),
    fault("redis-full", NoMemory, A_WHILE, true,
        "CONFIG SET maxmemory to less than there is, then back",
        "503 with Retry-After meanwhile; workers go on"),
    fault("failover", Failover, AT_ONCE, false,
        "promote the replica of Redis, lead everybody there, let the old master follow",
        "with one replica demanded, nothing acknowledged is missing"),
    fault("exhaust-postgres", Exhaust, A_WHILE, false,
        "take all of Postgres's connections, and end the workers'",
        "workers wait and park nothing"),
    fault("terminate-backends", Backends, AT_ONCE, false,
        "pg_terminate_backend on all connections",
        "as cut-worker-postgres"),
    #[cfg(feature = "planted-bugs")]
    fault("poison-panic", Kind::Poison { aborts: false }, AT_ONCE, false,
        "send an event whose handler panics",
        "it is parked as `panic`, and nothing else is"),
    #[cfg(feature = "planted-bugs")]
    fault("poison-abort", Kind::Poison { aborts: true }, AT_ONCE, false,
        "send an event whose handler ends its process",
        "it is parked as `crash_loop` after five tries, and nothing else is"),
];

/// By name.
pub(super) fn find(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page is written by hand, for people; this keeps it whole.
    #[test]
    fn every_fault_is_in_the_docs_with_what_must_hold() {
        let page = include_str!("../../../docs/chaos.md");
        for fault in FAULTS {
            let row = format!("| `{}` | {} | {} |", fault.name, fault.about, fault.holds);
            assert!(page.contains(&row), "{row}");
        }
    }
}
