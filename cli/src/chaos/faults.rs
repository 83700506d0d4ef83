//! What can be broken: a list of small items. What each does is in [`super::world`].

use std::time::Duration;

use serde::Serialize;

use Kind::{
    Backends, Busy, Cut, Deadlock, DiskFull, Exhaust, Failover, FlushScripts, HalfOpen, Kill, LapseLeases,
    NoGroup, NoMemory, Restart, Roll, Stall, Stop, Surge, Wipe,
};
use When::{Always, Named, NotQuick, Sometimes};

/// Something that breaks, and what must hold all the same.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    /// As `--only` and reports name it.
    pub name: &'static str,
    /// What is done.
    pub about: &'static str,
    /// What must hold, beside what always must.
    pub holds: &'static str,
    /// Which runs have it.
    pub when: When,
    /// How long it stays broken, milliseconds: at least, and at most.
    pub lasts_ms: (u64, u64),
    /// How.
    #[serde(skip)]
    pub kind: Kind,
}

/// Which runs have a fault, beside those that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum When {
    /// All.
    Always,
    /// With `--quick` only when the seed says so.
    Sometimes,
    /// All but `--quick`: it takes too long.
    NotQuick,
    /// No other.
    Named,
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
    /// Somebody else locks in another order.
    Deadlock,
    /// More load than is admitted.
    Surge,
    /// One customer with very many events at once.
    Busy,
    LapseLeases,
    DiskFull(Part),
    /// By so much, forward and back.
    #[cfg(feature = "planted-bugs")]
    StepClocks(Duration),
    #[cfg(feature = "planted-bugs")]
    Upgrade,
    #[cfg(feature = "planted-bugs")]
    Poison(Harm),
}

/// What an event can do to who handles it.
#[cfg(feature = "planted-bugs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    Panic,
    Abort,
    Hang,
}

#[cfg(feature = "planted-bugs")]
impl Harm {
    /// What the event says.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Panic => shared::planted::PANIC,
            Self::Abort => shared::planted::ABORT,
            Self::Hang => shared::planted::HANG,
        }
    }

    /// What has to become of it.
    pub(super) fn fate(self) -> &'static str {
        match self {
            Self::Panic => "parked panic",
            Self::Abort | Self::Hang => "parked crash_loop",
        }
    }
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

    /// Whether it only comes about while all workers work.
    pub(super) fn needs_everybody(&self) -> bool {
        self.kind == Deadlock
    }

    /// Whether what follows has to be calm, because it is measured how long taking over takes.
    pub(super) fn wants_calm(&self) -> bool {
        self.kind == Kill(Part::Worker)
    }

    /// What it takes at most, milliseconds, with the pause after it.
    pub(super) fn most_ms(&self) -> u64 {
        self.lasts_ms.1 + self.kind.takes_ms() + super::plan::GAP_MS.1
    }

    /// Whether correctly signed events may be refused as if they were not.
    pub(super) fn confuses_ingest(&self) -> bool {
        #[cfg(feature = "planted-bugs")]
        return matches!(self.kind, Kind::StepClocks(by) if by >= MORE_THAN_TOLERATED);
        #[cfg(not(feature = "planted-bugs"))]
        false
    }

    /// Whether it kills one process after another, until it is found.
    pub(super) fn is_crash_loop(&self) -> bool {
        #[cfg(feature = "planted-bugs")]
        return matches!(self.kind, Kind::Poison(Harm::Abort | Harm::Hang));
        #[cfg(not(feature = "planted-bugs"))]
        false
    }

    /// Whether a server needs a disk of its own.
    pub(super) fn needs_disk(&self) -> bool {
        matches!(self.kind, DiskFull(_))
    }

    /// Longest until everything is done when it is over.
    pub(super) fn idle_limit(&self) -> Duration {
        match self.kind {
            HalfOpen(Way::WorkerPostgres) => SILENT_CONNECTION,
            _ => A_LEASE_AND_THE_WORK,
        }
    }

    /// Whether senders may get no answer at all while it lasts, and for how long afterwards, milliseconds.
    pub(super) fn silences_ingest(&self) -> Option<i64> {
        match self.kind {
            #[cfg(feature = "planted-bugs")]
            Kind::Upgrade => Some(1_000),
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
            #[cfg(feature = "planted-bugs")]
            Kind::Upgrade => 16_000,
            #[cfg(feature = "planted-bugs")]
            Kind::StepClocks(_) => 2_000,
            #[cfg(feature = "planted-bugs")]
            Kind::Poison(Harm::Panic) => 500,
            #[cfg(feature = "planted-bugs")]
            Kind::Poison(_) => 65_000,
            Busy => 6_000,
            Roll => 6_000,
            Deadlock => 4_000,
            LapseLeases => 500,
            Exhaust => 1_500,
            Kill(Part::Postgres) => 1_500,
            Kill(Part::Ingest) => 1_000,
            Kill(Part::Redis) | Wipe { disk: true } | Restart => 500,
            _ => 100,
        }
    }
}

/// A connection that never answers is left after a minute; and then a lease, and the work.
const SILENT_CONNECTION: Duration = Duration::from_secs(120);
/// Everything else.
const A_LEASE_AND_THE_WORK: Duration = Duration::from_secs(25);
/// A step of the clock within Stripe's tolerance of five minutes.
#[cfg(feature = "planted-bugs")]
const TOLERATED: Duration = Duration::from_secs(4 * 60);
/// And one beyond.
#[cfg(feature = "planted-bugs")]
const MORE_THAN_TOLERATED: Duration = Duration::from_secs(3 * 60 * 60);

const AT_ONCE: (u64, u64) = (0, 0);
/// Around the longest wait for an answer of Redis's.
const A_WHILE: (u64, u64) = (1_000, 3_000);
const A_MOMENT: (u64, u64) = (300, 1_000);
/// Until more has come than ingest holds.
const LONG_ENOUGH: (u64, u64) = (4_000, 5_000);
/// Longer than a lease.
const PAST_THE_LEASE: (u64, u64) = (11_500, 13_000);

const fn fault(
    name: &'static str,
    kind: Kind,
    lasts_ms: (u64, u64),
    when: When,
    about: &'static str,
    holds: &'static str,
) -> Fault {
    Fault {
        name,
        about,
        holds,
        when,
        lasts_ms,
        kind,
    }
}

/// All there are.
#[rustfmt::skip] // a table
pub(super) const FAULTS: &[Fault] = &[
    fault("kill-worker", Kill(Part::Worker), A_MOMENT, Always,
        "kill -9 a worker in mid-transaction; start it again",
        "what it held is committed within its lease and 2 s"),
    fault("kill-ingest", Kill(Part::Ingest), A_MOMENT, Always,
        "kill -9 ingest while requests are under way; start it again",
        "what it answered with 200 is in Redis"),
    fault("kill-redis", Kill(Part::Redis), A_MOMENT, Always,
        "kill -9 Redis; start it again with its append-only file",
        "503 with Retry-After meanwhile; everything acknowledged is still there"),
    fault("kill-postgres", Kill(Part::Postgres), A_MOMENT, Sometimes,
        "kill -9 all of Postgres; start it again",
        "200 meanwhile; workers wait and park nothing"),
    fault("restart-postgres", Restart, AT_ONCE, Sometimes,
        "restart Postgres as an administrator would",
        "as kill-postgres"),
    fault("stop-worker", Stop, PAST_THE_LEASE, Always,
        "stop a worker's clock past its lease (SIGSTOP), then let it go on (SIGCONT)",
        "others take over; its late commit changes nothing"),
    fault("roll", Roll, AT_ONCE, NotQuick,
        "replace all workers and ingest one after another under load (SIGTERM)",
        "each ends with status 0; what it held goes on at once"),
    fault("cut-sender", Cut(Way::Sender), AT_ONCE, Sometimes,
        "end all connections between Stripe and ingest",
        "no answer is no acknowledgement; the retry is absorbed"),
    fault("stall-sender", Stall(Way::Sender), A_WHILE, Sometimes,
        "let no byte through between Stripe and ingest",
        "as cut-sender"),
    fault("half-open-sender", HalfOpen(Way::Sender), A_WHILE, Sometimes,
        "end them for ingest only; Stripe's side hears nothing for a while",
        "as cut-sender"),
    fault("cut-ingest-redis", Cut(Way::IngestRedis), AT_ONCE, Sometimes,
        "end all connections between ingest and Redis",
        "503 with Retry-After, then new connections"),
    fault("stall-ingest-redis", Stall(Way::IngestRedis), A_WHILE, Sometimes,
        "let no byte through between ingest and Redis",
        "503 with Retry-After within seconds, never a timeout"),
    fault("half-open-ingest-redis", HalfOpen(Way::IngestRedis), AT_ONCE, Sometimes,
        "end them for Redis only; ingest's side hears nothing",
        "503 with Retry-After, then new connections"),
    fault("cut-worker-redis", Cut(Way::WorkerRedis), AT_ONCE, Sometimes,
        "end all connections between workers and Redis",
        "lost acknowledgements are absorbed"),
    fault("stall-worker-redis", Stall(Way::WorkerRedis), A_WHILE, Sometimes,
        "let no byte through between workers and Redis",
        "leases survive or are taken over; either is absorbed"),
    fault("half-open-worker-redis", HalfOpen(Way::WorkerRedis), AT_ONCE, Sometimes,
        "end them for Redis only; the workers' side hears nothing",
        "claims given to a dead connection are taken over"),
    fault("cut-worker-postgres", Cut(Way::WorkerPostgres), AT_ONCE, Always,
        "end all connections between workers and Postgres",
        "commits with an unknown outcome are found out"),
    fault("stall-worker-postgres", Stall(Way::WorkerPostgres), A_WHILE, Sometimes,
        "let no byte through between workers and Postgres",
        "workers wait"),
    fault("half-open-worker-postgres", HalfOpen(Way::WorkerPostgres), AT_ONCE, NotQuick,
        "end them for Postgres only; the workers' side hears nothing",
        "workers find out by themselves, within a minute and a half"),
    fault("flush-redis", Wipe { disk: false }, AT_ONCE, Sometimes,
        "FLUSHALL",
        "what was in Redis is the gap, named by id; nothing else is missing"),
    fault("empty-redis", Wipe { disk: true }, AT_ONCE, Sometimes,
        "kill -9 Redis, delete its files, start it again",
        "as flush-redis"),
    fault("flush-scripts", FlushScripts, AT_ONCE, Sometimes,
        "SCRIPT FLUSH",
        "scripts are loaded again"),
    fault("destroy-group", NoGroup, AT_ONCE, Sometimes,
        "XGROUP DESTROY: nobody knows any more who holds what",
        "the group is made again; what comes twice is absorbed"),
    fault("redis-full", NoMemory, A_WHILE, Sometimes,
        "CONFIG SET maxmemory to less than there is, then back",
        "503 with Retry-After meanwhile; workers go on"),
    fault("failover", Failover, AT_ONCE, NotQuick,
        "promote the replica of Redis, lead everybody there, let the old master follow",
        "with one replica demanded, nothing acknowledged is missing"),
    fault("exhaust-postgres", Exhaust, A_WHILE, NotQuick,
        "take all of Postgres's connections, and end the workers'",
        "workers wait and park nothing"),
    fault("terminate-backends", Backends, AT_ONCE, Sometimes,
        "pg_terminate_backend on all connections",
        "as cut-worker-postgres"),
    fault("deadlock", Deadlock, AT_ONCE, Always,
        "lock all objects in the opposite order of the workers', until Postgres ends a transaction for it (40P01)",
        "that batch is tried again, and nothing is parked"),
    fault("overload", Surge, LONG_ENOUGH, Sometimes,
        "repeat everything over more connections than ingest serves, with workers that get nothing done",
        "503 with Retry-After, never a timeout; the rest is durable"),
    fault("lapse-leases", LapseLeases, AT_ONCE, Sometimes,
        "let all leases look run out while their holders live, as a step of Redis's clock by an hour does",
        "what is done twice has its effect once"),
    fault("postgres-disk-full", DiskFull(Part::Postgres), A_WHILE, NotQuick,
        "leave no byte on Postgres's disk, then make room; start Postgres again if that ended it",
        "200 meanwhile; workers wait and park nothing"),
    fault("redis-disk-full", DiskFull(Part::Redis), A_WHILE, NotQuick,
        "leave no byte on Redis's disk, with `appendfsync everysec`, then make room",
        "503 with Retry-After meanwhile (MISCONF); everything acknowledged is still there"),
    fault("busy-customer", Busy, AT_ONCE, Named,
        "send 100,000 events of one customer (`--busy-events`), five for each delivery of all others",
        "the p99 of the others is at most twice what it was; that customer's events never run at the same time"),
    #[cfg(feature = "planted-bugs")]
    fault("poison-panic", Kind::Poison(Harm::Panic), AT_ONCE, Sometimes,
        "send an event whose handler panics",
        "it is parked as `panic`, and nothing else is"),
    #[cfg(feature = "planted-bugs")]
    fault("poison-abort", Kind::Poison(Harm::Abort), AT_ONCE, NotQuick,
        "send an event whose handler ends its process",
        "it is parked as `crash_loop` after five tries, and nothing else is; the others wait for two leases at most"),
    #[cfg(feature = "planted-bugs")]
    fault("poison-hang", Kind::Poison(Harm::Hang), AT_ONCE, NotQuick,
        "send an event whose handler never ends",
        "the watchdog ends the process after 5 s; then as poison-abort"),
    #[cfg(feature = "planted-bugs")]
    fault("step-clocks-minutes", Kind::StepClocks(TOLERATED), AT_ONCE, Sometimes,
        "set the clocks of ingest and the workers 4 minutes forward, then back, then right",
        "nothing changes"),
    #[cfg(feature = "planted-bugs")]
    fault("step-clocks-hours", Kind::StepClocks(MORE_THAN_TOLERATED), AT_ONCE, Sometimes,
        "the same by 3 hours",
        "signatures are too old, or from the future: 400 meanwhile; nothing else changes"),
    #[cfg(feature = "planted-bugs")]
    fault("upgrade", Kind::Upgrade, AT_ONCE, NotQuick,
        "replace ingest and the workers by a build with a newer layout of entries: ingest first, back, and all forth",
        "what older workers cannot read waits for newer ones"),
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
