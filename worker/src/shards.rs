//! The shards this process may read, and until when. Decided here, carried out in [`crate::attendance`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shared::queue::Pause;
use shared::queue::fleet::{Roll, SHARD_LEASE};
use tokio::sync::Notify;

use crate::share::share;

/// Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Shards(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Told when there is more to read.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<u16, Tenure>,
    /// Shards a read is under way for: it may bring more of them.
    reading: Vec<u16>,
    /// Those that should be this process's.
    wanted: BTreeSet<u16>,
    /// All that were ever there. One that is forgotten in Redis may still hold entries.
    known: BTreeSet<u16>,
    attended_at: Option<Instant>,
    /// Redis has lost the roll: until then others may hold what looks free.
    patient_until: Option<Instant>,
    /// Nothing is to be taken from the queue.
    pause: Option<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Tenure {
    until: Instant,
    stage: Stage,
}

/// In which order a shard comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody else may still work on something of it. What nobody keeps up is taken over; nothing new is read.
    Settling,
    /// It is read.
    Open,
    /// It should be somebody else's: what is begun is finished.
    Leaving,
}

/// When Redis was asked, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub at: Instant,
    pub answered_at: Instant,
    /// Who wants nothing any more.
    pub is_leaving: bool,
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub gained: Vec<u16>,
    /// Entries of these must not be begun any more.
    pub lost: Vec<u16>,
    /// The queue was paused, or resumed.
    pub pause: Option<Option<Pause>>,
}

/// What may be read now. While it is there, none of it is given up.
pub(crate) struct Turn {
    /// Where new entries may be claimed.
    pub open: Vec<u16>,
    /// Where entries may be taken over: those, and shards that are settling.
    pub all: Vec<u16>,
    /// Whether a shard is on its way here: it should not have to wait for a long read.
    pub is_moving: bool,
    shards: Shards,
}

impl Shards {
    /// What may be read now: nothing while the queue is paused.
    pub(crate) fn turn(&self, now: Instant) -> Turn {
        let mut state = self.lock();
        let is_paused = state.pause.is_some();
        let may = |stages: &[Stage]| -> Vec<u16> {
            let held = state.held.iter().filter(|_| !is_paused);
            held.filter(|(_, it)| now < it.until && stages.contains(&it.stage))
                .map(|(shard, _)| *shard)
                .collect()
        };
        let (open, all) = (may(&[Stage::Open]), may(&[Stage::Open, Stage::Settling]));
        state.reading.clone_from(&all);
        Turn {
            open,
            all,
            is_moving: state.is_moving(),
            shards: self.clone(),
        }
    }

    /// Whether entries of a shard may be begun.
    pub(crate) fn may_begin(&self, shard: u16, now: Instant) -> bool {
        self.lock().held.get(&shard).is_some_and(|it| now < it.until)
    }

    /// Waits until something changed.
    pub(crate) async fn changed(&self) {
        self.0.news.notified().await;
    }

    /// Whether nothing is read: there is none, or the queue is paused.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.held.is_empty() || state.pause.is_some()
    }

    /// The pause for which nothing is read any more, by when it began. A read that was under way when it began may bring
    /// some more.
    pub(crate) fn resting(&self) -> Option<i64> {
        let state = self.lock();
        let pause = state.pause.as_ref().filter(|_| state.reading.is_empty());
        pause.map(|pause| pause.at_ms)
    }

    /// Those held, by number.
    pub(crate) fn held(&self) -> Vec<u16> {
        self.lock().held.keys().copied().collect()
    }

    /// Those that should stay.
    pub(crate) fn staying(&self) -> BTreeSet<u16> {
        let state = self.lock();
        let staying = state.held.iter().filter(|(_, it)| it.stage != Stage::Leaving);
        staying.map(|(shard, _)| *shard).collect()
    }

    /// What to ask for: what is held, whatever becomes of it, and what should be.
    pub(crate) fn claims(&self, now: Instant) -> Vec<u16> {
        let state = self.lock();
        let is_patient = state.patient_until.is_some_and(|until| now < until);
        let wanted = state.wanted.iter().filter(|_| !is_patient);
        let claims: BTreeSet<u16> = state.held.keys().chain(wanted).copied().collect();
        claims.into_iter().collect()
    }

    /// Takes note of what Redis said to who asked as `me`.
    pub(crate) fn note(&self, me: &str, roll: &Roll, asked: Asked) -> Changes {
        let changes = self.lock().note(me, roll, asked);
        self.0.news.notify_one();
        changes
    }

    /// All that were ever there.
    pub(crate) fn known(&self) -> Vec<u16> {
        self.lock().known.iter().copied().collect()
    }

    /// Whether a shard is on its way here, or away.
    pub(crate) fn is_moving(&self) -> bool {
        self.lock().is_moving()
    }

    /// Whether one more that is wanted can be asked for.
    pub(crate) fn lacks_some(&self, now: Instant) -> bool {
        let state = self.lock();
        let is_patient = state.patient_until.is_some_and(|until| now < until);
        !is_patient && state.wanted.iter().any(|shard| !state.held.contains_key(shard))
    }

    /// Those that wait for somebody else's last work.
    pub(crate) fn settling(&self) -> Vec<u16> {
        self.lock().at(Stage::Settling)
    }

    /// Nobody else has anything in hand there.
    pub(crate) fn open(&self, settled: impl IntoIterator<Item = u16>) {
        let mut state = self.lock();
        for shard in settled {
            if let Some(tenure) = state.held.get_mut(&shard)
                && tenure.stage == Stage::Settling
            {
                tenure.stage = Stage::Open;
            }
        }
        drop(state);
        self.0.news.notify_one();
    }

    /// Gives up those that should be somebody else's and that nobody here has in hand, as `has_of` says.
    pub(crate) fn give_up(&self, has_of: impl Fn(u16) -> bool) -> Vec<u16> {
        let mut state = self.lock();
        let mut given_up = state.at(Stage::Leaving);
        given_up.retain(|shard| !state.reading.contains(shard) && !has_of(*shard));
        state.held.retain(|shard, _| !given_up.contains(shard));
        given_up
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, me: &str, roll: &Roll, asked: Asked) -> Changes {
        let mut changes = Changes::default();
        // What ran out before the answer may have been somebody else's, although it was given again.
        let lapsed =
            |shard: &u16, it: &Tenure| !roll.granted.contains(shard) || it.until <= asked.answered_at;
        self.held.retain(|shard, tenure| {
            let is_lost = lapsed(shard, tenure);
            changes.lost.extend(is_lost.then_some(*shard));
            !is_lost
        });
        for shard in &roll.granted {
            let until = asked.at + SHARD_LEASE;
            let tenure = self.held.entry(*shard).or_insert_with(|| {
                changes.gained.push(*shard);
                let stage = Stage::Settling;
                Tenure { until, stage }
            });
            tenure.until = until;
        }
        let was_here = self
            .attended_at
            .is_some_and(|at| asked.answered_at < at + SHARD_LEASE);
        if was_here && !roll.was_known {
            self.patient_until = Some(asked.at + SHARD_LEASE);
        }
        self.attended_at = Some(asked.at).filter(|_| !asked.is_leaving);
        if self.pause != roll.pause {
            self.pause.clone_from(&roll.pause);
            changes.pause = Some(roll.pause.clone());
        }
        self.known.extend(&roll.shards);
        self.wanted = if asked.is_leaving {
            BTreeSet::new()
        } else {
            share(me, &roll.workers, &self.known)
        };
        for (shard, tenure) in &mut self.held {
            tenure.stage = match (self.wanted.contains(shard), tenure.stage) {
                (false, _) => Stage::Leaving,
                (true, Stage::Leaving) => Stage::Settling,
                (true, stage) => stage,
            };
        }
        changes
    }

    fn at(&self, stage: Stage) -> Vec<u16> {
        let held = self.held.iter().filter(|(_, it)| it.stage == stage);
        held.map(|(shard, _)| *shard).collect()
    }

    fn is_moving(&self) -> bool {
        self.wanted.iter().any(|shard| !self.held.contains_key(shard))
            || self.held.values().any(|it| it.stage != Stage::Open)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shards.lock().reading.clear();
    }
}

#[cfg(test)]
impl Shards {
    /// Holds these for an hour.
    pub(crate) fn holding(shards: impl IntoIterator<Item = u16>) -> Self {
        let it = Self::default();
        let until = Instant::now() + std::time::Duration::from_secs(3600);
        let stage = Stage::Open;
        it.lock().held = shards
            .into_iter()
            .map(|shard| (shard, Tenure { until, stage }))
            .collect();
        it
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ME: &str = "a";
    const SECOND: Duration = Duration::from_secs(1);

    fn asked(at: Instant) -> Asked {
        Asked {
            at,
            answered_at: at,
            is_leaving: false,
        }
    }

    fn roll(workers: &[&str], granted: &[u16]) -> Roll {
        Roll {
            workers: workers.iter().map(|it| (*it).to_owned()).collect(),
            shards: (0..4).collect(),
            granted: granted.iter().copied().collect(),
            was_known: true,
            pause: None,
        }
    }

    /// One that has all four, alone.
    fn alone(at: Instant) -> Shards {
        let shards = Shards::default();
        shards.note(ME, &roll(&[ME], &[]), asked(at));
        let claims = shards.claims(at);
        assert_eq!(claims, [0, 1, 2, 3]);
        let changes = shards.note(ME, &roll(&[ME], &claims), asked(at));
        assert_eq!(changes.gained, claims);
        shards.open(claims);
        shards
    }

    #[test]
    fn nothing_new_is_read_before_others_have_finished() {
        let now = Instant::now();
        let shards = Shards::default();
        shards.note(ME, &roll(&[ME], &[0, 1]), asked(now));
        let turn = shards.turn(now);
        assert_eq!((&*turn.open, &*turn.all), (&[][..], &[0, 1][..]));
        shards.open([1]);
        assert_eq!(shards.turn(now).open, [1]);
    }

    #[test]
    fn what_is_somebody_else_s_is_finished_and_then_given_up() {
        let now = Instant::now();
        let shards = alone(now);
        let turn = shards.turn(now);
        shards.note(ME, &roll(&[ME, "b"], &[0, 1, 2, 3]), asked(now));
        let mine = share(ME, &roll(&[ME, "b"], &[]).workers, &(0..4).collect());
        assert_eq!(mine.len(), 2);
        assert!(shards.give_up(|_| false).is_empty(), "a read is under way");
        drop(turn);
        assert_eq!(shards.turn(now).open, Vec::from_iter(mine.clone()));
        assert!(shards.give_up(|_| true).is_empty(), "something of it is in hand");
        let given_up = shards.give_up(|_| false);
        assert_eq!(given_up.len(), 2);
        assert!(given_up.iter().all(|shard| !mine.contains(shard)));
        assert_eq!(shards.held(), Vec::from_iter(mine));
    }

    #[test]
    fn who_wakes_up_late_begins_nothing() {
        let now = Instant::now();
        let shards = alone(now);
        let late = now + SHARD_LEASE;
        assert!(shards.may_begin(0, late - SECOND));
        assert!(!shards.may_begin(0, late));
        assert!(shards.turn(late).all.is_empty());
        // Nobody else wanted them; but somebody might have had them.
        let changes = shards.note(ME, &roll(&[ME], &[0, 1, 2, 3]), asked(late));
        assert_eq!(changes.lost, [0, 1, 2, 3]);
        assert_eq!(changes.gained, [0, 1, 2, 3]);
        assert!(shards.turn(late).open.is_empty(), "they settle anew");
    }

    #[test]
    fn who_is_told_too_late_has_lost_them() {
        let now = Instant::now();
        let shards = alone(now);
        let slow = Asked {
            answered_at: now + SHARD_LEASE,
            ..asked(now + SHARD_LEASE - SECOND)
        };
        assert_eq!(shards.note(ME, &roll(&[ME], &[0, 1, 2, 3]), slow).lost.len(), 4);
    }

    #[test]
    fn who_finds_the_roll_empty_keeps_what_it_has_and_waits_with_the_rest() {
        let now = Instant::now();
        let shards = alone(now);
        shards.note(ME, &roll(&[ME, "b"], &[0, 1, 2, 3]), asked(now));
        let mine = {
            shards.give_up(|_| false);
            shards.held()
        };
        let lost = Roll {
            was_known: false,
            ..roll(&[ME], &mine)
        };
        let flushed = now + SECOND;
        shards.note(ME, &lost, asked(flushed));
        assert_eq!(
            shards.claims(flushed),
            mine,
            "the other may be there and not have said so yet"
        );
        assert_eq!(shards.claims(flushed + SHARD_LEASE), [0, 1, 2, 3]);
    }

    #[test]
    fn while_the_queue_is_paused_shards_are_kept_and_not_read() {
        let now = Instant::now();
        let shards = alone(now);
        let all = [0, 1, 2, 3];
        let pause = Pause {
            by: "jo".into(),
            why: "a migration".into(),
            at_ms: 17,
        };
        let paused = Roll {
            pause: Some(pause.clone()),
            ..roll(&[ME], &all)
        };
        let turn = shards.turn(now);
        let changes = shards.note(ME, &paused, asked(now));
        assert_eq!(changes.pause, Some(Some(pause)));
        assert_eq!(shards.resting(), None, "a read is under way");
        drop(turn);
        assert_eq!(shards.resting(), Some(17));
        assert!(shards.turn(now).all.is_empty() && shards.is_idle());
        assert!(shards.may_begin(0, now), "what is in hand is finished");
        assert_eq!(shards.note(ME, &paused, asked(now)).pause, None, "nothing new");
        let changes = shards.note(ME, &roll(&[ME], &all), asked(now));
        assert_eq!(changes.pause, Some(None));
        assert_eq!((shards.turn(now).open.len(), shards.resting()), (4, None));
    }

    #[test]
    fn who_leaves_wants_nothing() {
        let now = Instant::now();
        let shards = alone(now);
        let leaving = Asked {
            is_leaving: true,
            ..asked(now)
        };
        shards.note(ME, &roll(&[], &[0, 1, 2, 3]), leaving);
        assert!(shards.turn(now).all.is_empty());
        assert_eq!(shards.give_up(|shard| shard == 2), [0, 1, 3]);
        assert_eq!(shards.claims(now), [2]);
    }
}
