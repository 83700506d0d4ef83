//! Whether an object we hold is as Stripe has it: pure. A difference alone says little, because an event may be about to
//! tell of it. It counts once every event up to then is settled here, and the object is still another.

use crate::Kind;

/// Members that change at Stripe without an event: an address is a new one whenever somebody asks.
const UNTOLD: [&str; 1] = ["hosted_invoice_url"];

/// Whether an event tells when this member changes.
#[must_use]
pub fn is_told(member: &str) -> bool {
    !UNTOLD.contains(&member)
}

/// Which objects are gone through, and how much of a sample is about them: those first that people live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Walk {
    /// Subscriptions that have not ended.
    Living,
    /// All objects of a kind.
    All(Kind),
}

impl Walk {
    /// All of them. Each object is in one at least.
    pub const ALL: [Self; 7] = [
        Self::Living,
        Self::All(Kind::Subscription),
        Self::All(Kind::Invoice),
        Self::All(Kind::PaymentIntent),
        Self::All(Kind::Charge),
        Self::All(Kind::Refund),
        Self::All(Kind::Dispute),
    ];

    /// The kind of its objects.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Living => Kind::Subscription,
            Self::All(kind) => kind,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Living => "living",
            Self::All(kind) => kind.as_str(),
        }
    }

    /// Of a sample of so many objects, those that are its own: half of it or more is for subscriptions that have not ended,
    /// and each walk gets on.
    #[must_use]
    pub fn share(self, sample: u32) -> u32 {
        let others = u32::try_from(Self::ALL.len()).unwrap_or(u32::MAX) - 1;
        let share = (sample / 2 / others).max(1);
        match self {
            Self::Living => sample.saturating_sub(share * others).max(1),
            Self::All(_) => share,
        }
    }
}

/// How an object compares, this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The event whose snapshot is held.
    pub held: String,
    /// When that was so, unix seconds.
    pub held_at: i64,
    /// When Stripe's was so, unix seconds.
    pub as_of: i64,
    /// Stripe does not have it any more.
    pub is_gone: bool,
    /// Members that differ, by name.
    pub members: Vec<String>,
    /// Whether an event about it waits for a person.
    pub is_set_aside: bool,
}

impl Look {
    /// Members that cannot differ without an event.
    #[must_use]
    pub fn told(&self) -> Vec<&str> {
        let names = self.members.iter().map(String::as_str);
        names.filter(|name| is_told(name)).collect()
    }
}

/// How it compared before, when it differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// See [`Look::held`].
    pub held: String,
    /// See [`Look::as_of`].
    pub as_of: i64,
    /// See [`Look::is_gone`].
    pub is_gone: bool,
    /// See [`Look::members`].
    pub members: Vec<String>,
}

/// What a look means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finding {
    /// It is as Stripe has it.
    Equal,
    /// What is held is newer than what Stripe showed.
    Newer,
    /// It differs, and an event may be under way: to be looked at again once all up to now is settled.
    Suspect,
    /// It was suspected, and it is still not settled whether an event explains it.
    Waiting,
    /// An event about it was set aside, which explains it.
    SetAside,
    /// Stripe has another one, and no event tells of it.
    Different,
    /// Stripe does not have it any more, and no event tells of it.
    Gone,
}

impl Finding {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Equal,
        Self::Newer,
        Self::Suspect,
        Self::Waiting,
        Self::SetAside,
        Self::Different,
        Self::Gone,
    ];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Newer => "newer",
            Self::Suspect => "suspect",
            Self::Waiting => "waiting",
            Self::SetAside => "set_aside",
            Self::Different => "different",
            Self::Gone => "gone",
        }
    }
}

/// What a look means, after an earlier one that found a difference. Up to `covered_until` every event is settled here.
#[must_use]
pub fn judge(look: &Look, before: Option<&Suspicion>, covered_until: i64) -> Finding {
    if !look.is_gone && look.told().is_empty() {
        return Finding::Equal;
    }
    if look.held_at > look.as_of {
        return Finding::Newer;
    }
    if look.is_set_aside {
        return Finding::SetAside;
    }
    // What is held by now is news: the difference is another one.
    let Some(before) = before.filter(|before| before.held == look.held) else {
        return Finding::Suspect;
    };
    if before.as_of > covered_until {
        return Finding::Waiting;
    }
    let told = look.told();
    let is_same = before.members.iter().any(|name| told.contains(&name.as_str()));
    match (look.is_gone, before.is_gone) {
        (true, true) => Finding::Gone,
        (false, false) if is_same => Finding::Different,
        _ => Finding::Suspect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(members: &[&str]) -> Look {
        Look {
            held: "evt_1".to_owned(),
            held_at: 50,
            as_of: 200,
            is_gone: false,
            members: members.iter().map(ToString::to_string).collect(),
            is_set_aside: false,
        }
    }

    fn suspicion(held: &str, members: &[&str]) -> Suspicion {
        Suspicion {
            held: held.to_owned(),
            as_of: 100,
            is_gone: false,
            members: members.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_difference_counts_once_no_event_can_explain_it() {
        let status = suspicion("evt_1", &["status"]);
        for (look, before, covered_until, finding) in [
            (look(&[]), None, 500, Finding::Equal),
            (look(&[]), Some(&status), 500, Finding::Equal),
            (look(&["hosted_invoice_url"]), Some(&status), 500, Finding::Equal),
            (look(&["status"]), None, 500, Finding::Suspect),
            (look(&["status"]), Some(&status), 99, Finding::Waiting),
            (look(&["status"]), Some(&status), 100, Finding::Different),
            (
                look(&["status", "user_id"]),
                Some(&status),
                100,
                Finding::Different,
            ),
            // An event came meanwhile, and something else happened since.
            (
                look(&["status"]),
                Some(&suspicion("evt_0", &["status"])),
                100,
                Finding::Suspect,
            ),
            (look(&["user_id"]), Some(&status), 100, Finding::Suspect),
        ] {
            assert_eq!(
                judge(&look, before, covered_until),
                finding,
                "{look:?} {before:?}"
            );
        }
    }

    #[test]
    fn what_is_newer_or_set_aside_is_explained() {
        let status = suspicion("evt_1", &["status"]);
        let newer = Look {
            held_at: 201,
            ..look(&["status"])
        };
        assert_eq!(judge(&newer, Some(&status), 500), Finding::Newer);
        let set_aside = Look {
            is_set_aside: true,
            ..look(&["status"])
        };
        assert_eq!(judge(&set_aside, Some(&status), 500), Finding::SetAside);
    }

    #[test]
    fn gone_counts_when_it_is_gone_twice() {
        let gone = Look {
            is_gone: true,
            ..look(&[])
        };
        let before = Suspicion {
            is_gone: true,
            ..suspicion("evt_1", &[])
        };
        assert_eq!(judge(&gone, None, 500), Finding::Suspect);
        assert_eq!(judge(&gone, Some(&before), 500), Finding::Gone);
        assert_eq!(
            judge(&gone, Some(&suspicion("evt_1", &["status"])), 500),
            Finding::Suspect
        );
        assert_eq!(judge(&look(&["status"]), Some(&before), 500), Finding::Suspect);
    }

    #[test]
    fn every_walk_has_its_share() {
        for sample in [1, 7, 40, 1_000] {
            let shares: Vec<u32> = Walk::ALL.into_iter().map(|walk| walk.share(sample)).collect();
            assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
            let whole: u32 = shares.iter().sum();
            assert!(whole <= sample.max(7), "{sample}: {shares:?}");
        }
    }
}
