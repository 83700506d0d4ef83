//! Traffic: many histories interleaved into the deliveries one endpoint would see.
//!
//! Stripe promises neither order nor uniqueness (<https://docs.stripe.com/webhooks#event-ordering>),
//! so a plan says how much of each vice the traffic has. The same plan makes the same traffic.

mod deck;
mod people;
mod queue;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use queue::Slot;

use crate::{
    ApiVersion,
    catalogue::Catalogue,
    dice::Dice,
    event::Event,
    history::{AGE_MAX, Setting, thin_about, unknown},
    mint::Mint,
};

/// Greatest share of deliveries that may be repetitions.
pub const DUPLICATES_MAX: f64 = 0.9;

/// What the traffic should be like. Shares are between 0.0 and 1.0.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Repeats everything.
    pub seed: u64,
    /// Number of distinct events. The catalogue of the shop comes first, about ten events.
    pub events: usize,
    /// Unix seconds no event's `created` lies after; the histories lie in the weeks before it.
    pub start: i64,
    /// Versions the events are rendered in, one per customer. Empty counts as all.
    pub versions: Vec<ApiVersion>,
    /// Share of deliveries that repeat an earlier one; at most [`DUPLICATES_MAX`].
    pub duplicates: f64,
    /// Share of events that are a second event object, with its own id, about the same change.
    pub twins: f64,
    /// How many deliveries an event may fall behind its neighbours; 0 keeps the order of `created`.
    pub reorder: usize,
    /// Share of events held back much longer than that, behind up to a quarter of the traffic.
    pub delayed: f64,
    /// Share of customers that belong to a connected account.
    pub connect: f64,
    /// Share of events whose type nobody projects.
    pub unknown: f64,
    /// Share of events that are thin notifications.
    pub thin: f64,
    /// Time the deliveries are spread over; zero puts them all at the start.
    pub spread: Duration,
    /// Share of deliveries that come at one instant in the middle of `spread`.
    pub burst: f64,
}

impl Plan {
    /// Plausible traffic with a little of every vice: both versions, 10 % duplicates, some disorder,
    /// everything at once.
    #[must_use]
    pub fn new(seed: u64, events: usize, start: i64) -> Self {
        Self {
            seed,
            events,
            start,
            versions: ApiVersion::ALL.to_vec(),
            duplicates: 0.1,
            twins: 0.01,
            reorder: 20,
            delayed: 0.02,
            connect: 0.02,
            unknown: 0.02,
            thin: 0.02,
            spread: Duration::ZERO,
            burst: 0.0,
        }
    }

    /// Makes the traffic. Costs about 4 KB of memory per event and 4 KB per duplicate.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut dice = Dice::new(self.seed);
        let events = self.distinct_events(&mut dice);
        let queue = self.queue(&events, &mut dice);
        let total = queue.len();
        let deliver = |(position, slot): (usize, Slot)| Delivery {
            event: slot.event,
            at: self.offset(position, total),
            duplicate: slot.duplicate,
        };
        Traffic {
            deliveries: queue.into_iter().enumerate().map(deliver).collect(),
        }
    }

    /// The events in the order of `created`.
    fn distinct_events(&self, dice: &mut Dice) -> Vec<Event> {
        let (thin, unknown_count) = (self.count(self.thin), self.count(self.unknown));
        let (twins, snapshots) = (self.count(self.twins), self.snapshots());
        let own = Catalogue::new(dice.seed(), self.start);
        let mut events = self.lives(&own, snapshots, dice);
        let known = events.len();
        for _ in 0..thin {
            let about = dice.index(known);
            let notice = events.get(about).map(|event| thin_about(event, dice.seed()));
            events.extend(notice);
        }
        for _ in 0..twins {
            let twin = events
                .get(dice.index(known))
                .map(|event| self.twin(event, &own, dice));
            events.extend(twin);
        }
        for _ in 0..unknown_count {
            let now = self.start - dice.seconds(0, AGE_MAX);
            let version = *dice.pick(self.versions());
            events.push(unknown(Setting {
                now,
                ..self.setting(&own, version, dice)
            }));
        }
        events.sort_by_key(|event| event.created);
        events
    }

    fn versions(&self) -> &[ApiVersion] {
        if self.versions.is_empty() {
            &ApiVersion::ALL
        } else {
            &self.versions
        }
    }

    fn setting<'a>(&self, catalogue: &'a Catalogue, version: ApiVersion, dice: &mut Dice) -> Setting<'a> {
        Setting {
            catalogue,
            version,
            connected: false,
            seed: dice.seed(),
            now: self.start,
        }
    }

    fn twin(&self, event: &Event, own: &Catalogue, dice: &mut Dice) -> Event {
        let mut mint = Mint::new(Dice::new(dice.seed()), own.suffix.clone());
        event.twin(&mint.id("evt", event.created))
    }

    /// How many events show an object of a customer or of the shop.
    fn snapshots(&self) -> usize {
        let others = [self.thin, self.unknown, self.twins].map(|share| self.count(share));
        self.events.saturating_sub(others.iter().sum())
    }

    fn count(&self, share: f64) -> usize {
        part(self.events, share.clamp(0.0, 1.0))
    }

    fn offset(&self, position: usize, total: usize) -> Duration {
        let burst = part(total, self.burst.clamp(0.0, 1.0));
        let first = (total - burst) / 2;
        let position = if (first..first + burst).contains(&position) {
            first
        } else {
            position
        };
        let share = position as f64 / total.max(1) as f64;
        self.spread.mul_f64(share)
    }
}

/// Counts are far below 2^52 and shares are not negative, so nothing is lost.
fn part(whole: usize, share: f64) -> usize {
    (whole as f64 * share).round() as usize
}

/// One request to make.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What to send.
    pub event: Arc<Event>,
    /// When, counted from the start of the run.
    pub at: Duration,
    /// Whether an earlier delivery had the same event id.
    pub duplicate: bool,
}

/// Deliveries in the order and at the offsets they are to be made.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// `at` never decreases.
    pub deliveries: Vec<Delivery>,
}

impl Traffic {
    /// The ids of all events, each once: what must have been received in the end.
    #[must_use]
    pub fn event_ids(&self) -> BTreeSet<&str> {
        self.deliveries
            .iter()
            .map(|delivery| delivery.event.id.as_str())
            .collect()
    }

    /// First deliveries only, in order: every event once.
    pub fn distinct(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.deliveries
            .iter()
            .filter(|delivery| !delivery.duplicate)
            .map(|delivery| &delivery.event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{CURRENT_ONLY, PROJECTED_TYPES};

    const START: i64 = 1_793_613_600;

    fn bytes(plan: &Plan) -> Vec<(Duration, bool, bytes::Bytes)> {
        let deliveries = plan.traffic().deliveries;
        deliveries
            .into_iter()
            .map(|d| (d.at, d.duplicate, d.event.body.clone()))
            .collect()
    }

    #[test]
    fn a_seed_repeats_byte_for_byte_and_another_differs() {
        let plan = Plan::new(42, 300, START);
        assert!(bytes(&plan) == bytes(&plan));
        assert!(
            bytes(&plan)
                != bytes(&Plan {
                    seed: 43,
                    ..plan.clone()
                })
        );
    }

    #[test]
    fn every_projected_type_appears_in_every_version_that_has_it() {
        let traffic = Plan {
            connect: 0.0,
            ..Plan::new(7, 6000, START)
        }
        .traffic();
        for version in ApiVersion::ALL {
            let seen: BTreeSet<_> = traffic
                .distinct()
                .filter(|event| event.version == Some(version))
                .map(|event| event.kind.as_str())
                .collect();
            for kind in PROJECTED_TYPES {
                let expected = version.is_current() || !CURRENT_ONLY.contains(kind);
                assert_eq!(seen.contains(kind), expected, "{kind} in {version}");
            }
        }
    }

    #[test]
    fn counts_and_shares_are_as_planned() {
        let traffic = Plan {
            duplicates: 0.25,
            ..Plan::new(1, 2000, START)
        }
        .traffic();
        let duplicates = traffic
            .deliveries
            .iter()
            .filter(|delivery| delivery.duplicate)
            .count();
        assert_eq!(traffic.event_ids().len(), 2000);
        assert_eq!(traffic.distinct().count(), 2000);
        assert_eq!(duplicates * 4, traffic.deliveries.len() + 1);
        let thin = traffic.distinct().filter(|event| event.is_thin()).count();
        assert_eq!(thin, 40);
        assert!(traffic.distinct().any(|event| event.account.is_some()));
        assert!(traffic.distinct().all(|event| event.created <= START));
    }

    #[test]
    fn a_duplicate_follows_its_original_and_keeps_id_and_data() {
        let traffic = Plan::new(3, 500, START).traffic();
        let mut first: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
        for delivery in &traffic.deliveries {
            let body: serde_json::Value = serde_json::from_slice(&delivery.event.body).expect("JSON");
            assert_eq!(body["id"], delivery.event.id.as_str());
            let seen = first.get(delivery.event.id.as_str());
            assert_eq!(seen.is_some(), delivery.duplicate);
            if let Some(seen) = seen {
                assert_eq!(body["data"], seen["data"]);
            }
            first.entry(&delivery.event.id).or_insert(body);
        }
    }

    #[test]
    fn without_vices_the_order_is_that_of_creation() {
        let tame = Plan {
            duplicates: 0.0,
            reorder: 0,
            delayed: 0.0,
            ..Plan::new(3, 400, START)
        };
        let created = |plan: &Plan| {
            plan.traffic()
                .distinct()
                .map(|event| event.created)
                .collect::<Vec<_>>()
        };
        assert!(created(&tame).is_sorted());
        assert!(
            !created(&Plan {
                reorder: 30,
                ..tame.clone()
            })
            .is_sorted()
        );
        assert!(!created(&Plan { delayed: 0.1, ..tame }).is_sorted());
    }

    #[test]
    fn offsets_are_spread_and_a_burst_shares_one_instant() {
        let spread = Duration::from_secs(10);
        let plan = Plan {
            spread,
            burst: 0.2,
            duplicates: 0.0,
            ..Plan::new(5, 100, START)
        };
        let offsets: Vec<_> = plan
            .traffic()
            .deliveries
            .iter()
            .map(|delivery| delivery.at)
            .collect();
        assert!(offsets.is_sorted());
        assert!(offsets.iter().all(|at| *at < spread));
        let burst = offsets.iter().filter(|at| **at == offsets[40]).count();
        assert_eq!(burst, 20);
    }

    #[test]
    fn small_and_extreme_plans_work() {
        for events in [0, 1, 7] {
            assert_eq!(Plan::new(1, events, START).traffic().event_ids().len(), events);
        }
        let wild = Plan {
            duplicates: 5.0,
            thin: 1.0,
            unknown: 1.0,
            ..Plan::new(1, 20, START)
        };
        assert!(!wild.traffic().deliveries.is_empty());
    }
}
