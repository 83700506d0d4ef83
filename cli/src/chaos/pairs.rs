//! Two faults at once: which ones can be. Pure. They have nothing to do with each other, so that each comes about while the
//! other lasts, and can be mended in any order.

use super::faults::{Fault, Kind, Part, Way};

/// What a fault is about: two that share one cannot be there at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Server(Part),
    Between(Way),
}

/// Each fault with one that breaks at the same moment, or with none, in an order in which they can be done: who waits until a
/// role is ready again comes last, and only after what does not keep it from being so.
pub(super) fn pairs(faults: Vec<&'static Fault>) -> Vec<(&'static Fault, Option<&'static Fault>)> {
    let mut left = faults;
    let mut pairs = Vec::new();
    while !left.is_empty() {
        let first = left.remove(0);
        let partner = left.iter().position(|other| can_be_at_once(first, other));
        let Some(partner) = partner.map(|at| left.remove(at)) else {
            pairs.push((first, None));
            continue;
        };
        let is_first_last = waits(first.kind) > waits(partner.kind);
        pairs.push(if is_first_last {
            (partner, Some(first))
        } else {
            (first, Some(partner))
        });
    }
    pairs
}

fn can_be_at_once(a: &Fault, b: &Fault) -> bool {
    let (about_a, about_b) = (places(a.kind), places(b.kind));
    let is_alone = about_a.is_empty() || about_b.is_empty();
    let is_apart = !about_a.iter().any(|place| about_b.contains(place));
    // It is done at once, and the roles must get ready while it is.
    let rolls = |roll: &Fault, other: &Fault| roll.kind != Kind::Roll || other.lasts_ms.1 == 0;
    let is_ready = rolls(a, b) && rolls(b, a);
    !is_alone && is_apart && is_ready && waits(a.kind) + waits(b.kind) < 2
}

/// Whether mending it, or breaking it, waits until a role is ready.
fn waits(kind: Kind) -> u8 {
    u8::from(matches!(kind, Kind::Kill(Part::Ingest) | Kind::Roll))
}

/// Nothing for what has to be alone, because of what is measured or waited for while it lasts.
fn places(kind: Kind) -> Vec<Place> {
    use Place::{Between, Server};
    match kind {
        Kind::Kill(Part::Ingest) => vec![Server(Part::Ingest), Between(Way::IngestRedis)],
        Kind::Kill(part @ (Part::Redis | Part::Postgres)) | Kind::DiskFull(part) => vec![Server(part)],
        Kind::Roll => vec![Server(Part::Ingest), Server(Part::Worker)],
        Kind::Cut(way) | Kind::Stall(way) | Kind::HalfOpen(way) => vec![Between(way)],
        Kind::Wipe { .. } | Kind::FlushScripts | Kind::NoGroup | Kind::NoMemory => vec![Server(Part::Redis)],
        Kind::Failover => vec![
            Server(Part::Redis),
            Between(Way::IngestRedis),
            Between(Way::WorkerRedis),
        ],
        Kind::Backends => vec![Server(Part::Postgres)],
        // Asked to end, Postgres may wait for ever for a connection that takes nothing.
        Kind::Restart | Kind::Exhaust => vec![Server(Part::Postgres), Between(Way::WorkerPostgres)],
        Kind::Surge => vec![
            Server(Part::Ingest),
            Between(Way::Sender),
            Between(Way::WorkerPostgres),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{FAULTS, find};
    use super::*;

    /// Pairs as words, in order.
    fn paired(names: &str) -> String {
        let faults = names.split(' ').map(|name| find(name).expect("listed"));
        let words = pairs(faults.collect())
            .into_iter()
            .map(|(first, second)| match second {
                Some(second) => format!("{}+{}", first.name, second.name),
                None => first.name.to_owned(),
            });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_can_be_at_once_is() {
        let table = [
            ("kill-redis kill-postgres", "kill-redis+kill-postgres"),
            ("kill-redis redis-full", "kill-redis redis-full"),
            (
                "kill-redis redis-full cut-sender",
                "kill-redis+cut-sender redis-full",
            ),
            // The roles could not get ready.
            ("roll kill-redis", "roll kill-redis"),
            ("roll half-open-worker-postgres", "half-open-worker-postgres+roll"),
            ("kill-ingest kill-redis", "kill-redis+kill-ingest"),
            // What it held is to be committed in time.
            ("kill-worker kill-redis", "kill-worker kill-redis"),
        ];
        for (names, wanted) in table {
            assert_eq!(paired(names), wanted);
        }
    }

    #[test]
    fn none_is_lost() {
        let count = pairs(FAULTS.iter().collect())
            .iter()
            .map(|(_, second)| 1 + usize::from(second.is_some()))
            .sum::<usize>();
        assert_eq!(count, FAULTS.len());
    }
}
