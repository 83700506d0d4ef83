//! What it means that nothing arrives: pure. Nothing may have happened; or Stripe has events, and either does not send
//! them, sends them and is not answered, or is answered by somebody who is not us.

use crate::coverage::Compared;

/// A time in which Stripe had events for us, and none of them arrived, up to now. Unix seconds, by `created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The first of these events.
    pub since: i64,
    /// The last of them.
    pub until: i64,
    /// Whether Stripe still wants to deliver one of them.
    pub is_pending: bool,
}

impl Silence {
    fn and(self, other: Self) -> Self {
        Self {
            since: self.since.min(other.since),
            until: self.until.max(other.until),
            is_pending: self.is_pending || other.is_pending,
        }
    }
}

/// What was heard in a stretch of Stripe's list, which is gone through newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listened {
    /// What happened until then could not arrive, and it is known why.
    deaf_until: i64,
    newest_heard: Option<i64>,
    /// Since then.
    silence: Option<Silence>,
}

impl Listened {
    pub(crate) fn new(deaf_until: i64) -> Self {
        Self {
            deaf_until,
            newest_heard: None,
            silence: None,
        }
    }

    pub(crate) fn add(&mut self, event: &Compared) {
        if self.newest_heard.is_some() {
            return;
        }
        if event.has_arrived {
            self.newest_heard = Some(event.created);
        } else if event.created > self.deaf_until {
            let one = Silence {
                since: event.created,
                until: event.created,
                is_pending: event.is_pending,
            };
            self.silence = Some(self.silence.map_or(one, |silence| silence.and(one)));
        }
    }

    pub(crate) fn has_heard(&self) -> bool {
        self.newest_heard.is_some()
    }

    pub(crate) fn silence(&self, before: Option<Silence>) -> Option<Silence> {
        let before = before.filter(|before| before.until > self.deaf_until);
        // Stretches overlap: what was heard may be older than a silence that is known.
        let goes_on = before.filter(|before| self.newest_heard.is_none_or(|heard| before.since > heard));
        match (goes_on, self.silence) {
            (Some(before), Some(now)) => Some(before.and(now)),
            (one, other) => one.or(other),
        }
    }
}

/// Our webhook endpoint, as Stripe knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Events are sent there.
    Enabled,
    /// Nothing is sent there: a person or Stripe itself has turned it off.
    Disabled,
    /// The account has none of that address.
    Absent,
}

impl EndpointState {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Absent => "absent",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Absent]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Until when silence has an explanation. What happened while the endpoint was off is never sent, also after it was
/// turned on again; nor is what happened before there was one.
#[must_use]
pub fn deaf_until(
    before: i64,
    was: Option<EndpointState>,
    is: EndpointState,
    made_at: Option<i64>,
    now: i64,
) -> i64 {
    let is_back = is == EndpointState::Enabled && was.is_some_and(|was| was != EndpointState::Enabled);
    if is == EndpointState::Disabled || is_back {
        return before.max(now);
    }
    before.max(made_at.unwrap_or(i64::MIN))
}

/// Why events arrive, or do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Events arrive.
    Flowing,
    /// Stripe has no new events either.
    Quiet,
    /// Stripe sends nothing: the endpoint is turned off.
    EndpointDisabled,
    /// Stripe has events, and no endpoint of our address to send them to.
    NoEndpoint,
    /// Stripe was told that its events arrived, and we have not seen them: somebody else answers in our name.
    AnsweredElsewhere,
    /// Stripe sends, and gets no good answer.
    NotArriving,
    /// The key is not of the account (or of the mode) that was compared with before.
    WrongAccount,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 7] = [
        Self::Flowing,
        Self::Quiet,
        Self::EndpointDisabled,
        Self::NoEndpoint,
        Self::AnsweredElsewhere,
        Self::NotArriving,
        Self::WrongAccount,
    ];

    /// The word in tables, metrics and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::Quiet => "quiet",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::NoEndpoint => "no_endpoint",
            Self::AnsweredElsewhere => "answered_elsewhere",
            Self::NotArriving => "not_arriving",
            Self::WrongAccount => "wrong_account",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// Whether somebody has to do something about it.
    #[must_use]
    pub fn is_alarming(self) -> bool {
        !matches!(self, Self::Flowing | Self::Quiet)
    }
}

/// Why events arrive or do not. A silence counts once events on both ends of `patience` seconds did not arrive: what is
/// lost in one moment is a hole and no silence.
#[must_use]
pub fn verdict(
    endpoint: EndpointState,
    has_heard: bool,
    silence: Option<&Silence>,
    patience: i64,
) -> Verdict {
    let silence = silence.filter(|it| it.until - it.since >= patience);
    match (endpoint, silence) {
        (EndpointState::Disabled, _) => Verdict::EndpointDisabled,
        (EndpointState::Absent, Some(_)) => Verdict::NoEndpoint,
        (EndpointState::Enabled, Some(silence)) if silence.is_pending => Verdict::NotArriving,
        (EndpointState::Enabled, Some(_)) => Verdict::AnsweredElsewhere,
        (EndpointState::Enabled | EndpointState::Absent, None) if has_heard => Verdict::Flowing,
        (EndpointState::Enabled | EndpointState::Absent, None) => Verdict::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Held;

    fn event(created: i64, has_arrived: bool) -> Compared {
        Compared {
            created,
            is_subscribed: true,
            held: Held::Applied,
            has_arrived,
            is_pending: false,
        }
    }

    fn silence(since: i64, until: i64) -> Silence {
        Silence {
            since,
            until,
            is_pending: false,
        }
    }

    #[test]
    fn silence_is_what_came_after_the_last_that_arrived() {
        let (came, lost) = (|at| event(at, true), |at| event(at, false));
        type Case<'a> = (&'a [Compared], Option<Silence>, Option<Silence>, &'a str);
        let cases: [Case<'_>; 8] = [
            (&[], None, None, "nothing happened"),
            (&[], Some(silence(5, 9)), Some(silence(5, 9)), "nothing new"),
            (&[came(20), lost(15)], None, None, "a hole is no silence"),
            (
                &[lost(20), lost(15), came(10)],
                None,
                Some(silence(15, 20)),
                "it began",
            ),
            (
                &[lost(20)],
                Some(silence(5, 9)),
                Some(silence(5, 20)),
                "it goes on",
            ),
            (&[came(20)], Some(silence(5, 9)), None, "it is over"),
            (
                &[lost(30), came(20)],
                Some(silence(5, 9)),
                Some(silence(30, 30)),
                "over, and another began",
            ),
            (
                &[lost(9), lost(5), came(2)],
                Some(silence(5, 9)),
                Some(silence(5, 9)),
                "seen again where stretches overlap",
            ),
        ];
        for (events, before, expected, name) in cases {
            let mut listened = Listened::new(0);
            events.iter().for_each(|event| listened.add(event));
            assert_eq!(listened.silence(before), expected, "{name}");
        }
    }

    #[test]
    fn silence_that_is_explained_is_none() {
        let mut listened = Listened::new(10);
        listened.add(&event(12, false));
        listened.add(&event(10, false));
        assert_eq!(listened.silence(Some(silence(5, 9))), Some(silence(12, 12)));
    }

    #[test]
    fn an_endpoint_that_was_off_explains_silence() {
        use EndpointState::{Absent, Disabled, Enabled};
        for (was, is, made_at, expected) in [
            (None, Enabled, Some(3), 5),
            (None, Enabled, Some(8), 8),
            (Some(Enabled), Enabled, Some(3), 5),
            (Some(Enabled), Disabled, Some(3), 50),
            (Some(Disabled), Enabled, Some(3), 50),
            (Some(Absent), Enabled, Some(40), 50),
            (Some(Enabled), Absent, None, 5),
        ] {
            assert_eq!(deaf_until(5, was, is, made_at, 50), expected, "{was:?} {is:?}");
        }
    }

    #[test]
    fn silence_has_reasons() {
        use EndpointState::{Absent, Disabled, Enabled};
        let long = silence(0, 600);
        let pending = Silence {
            is_pending: true,
            ..long
        };
        for (endpoint, has_heard, silence, expected) in [
            (Enabled, true, None, Verdict::Flowing),
            (Enabled, false, None, Verdict::Quiet),
            (Absent, true, None, Verdict::Flowing),
            (Absent, false, None, Verdict::Quiet),
            (Enabled, false, Some(silence(0, 599)), Verdict::Quiet),
            (Enabled, false, Some(long), Verdict::AnsweredElsewhere),
            (Enabled, false, Some(pending), Verdict::NotArriving),
            (Absent, false, Some(long), Verdict::NoEndpoint),
            (Disabled, true, None, Verdict::EndpointDisabled),
            (Disabled, false, Some(long), Verdict::EndpointDisabled),
        ] {
            assert_eq!(
                verdict(endpoint, has_heard, silence.as_ref(), 600),
                expected,
                "{endpoint:?} {has_heard} {silence:?}"
            );
        }
        let words: std::collections::BTreeSet<_> = Verdict::ALL.map(Verdict::as_str).into();
        assert_eq!(words.len(), Verdict::ALL.len());
    }
}
