//! What somebody should look into, of how Stripe's list of events compares with what is here; and what to do about it.

use domain::coverage::{AGE_SECONDS_MAX, LAG_SECONDS_MAX};
use domain::silence::Verdict;
use maud::{Markup, html};
use store::coverage::Coverage;

use super::layout::span;
use super::reconcile::PAGE;

/// Of which account something is, in words; the platform's own goes without saying.
pub(super) fn of(account: &str) -> String {
    match account {
        "" => String::new(),
        account => format!(" of {account}"),
    }
}

/// Why events arrive or do not, where that is known.
pub(super) fn verdict(coverage: &Coverage) -> Option<Verdict> {
    coverage.verdict.as_deref().and_then(Verdict::parse)
}

/// What somebody should look into, in words; nothing where all is well.
pub(super) fn worries(coverage: &Coverage) -> Vec<String> {
    let mut worries = Vec::new();
    if let Some(verdict) = verdict(coverage).filter(|it| it.is_alarming()) {
        worries.push(format!("{}: {}", verdict.as_str(), meaning(verdict)));
    }
    if coverage.age > AGE_SECONDS_MAX {
        let ago = span(ms(coverage.age));
        worries.push(format!("Stripe's list was compared {ago} ago, and not since."));
    }
    if coverage.lag > LAG_SECONDS_MAX {
        let behind = span(ms(coverage.lag));
        worries.push(format!(
            "Coverage is {behind} behind: an older event is missing, or waits for a worker."
        ));
    }
    worries
}

/// On the overview: what somebody should look into, and where.
pub(super) fn warning(coverages: &[Coverage]) -> Markup {
    let worried = coverages.iter().map(|it| (it, worries(it)));
    html! {
        @for (coverage, worries) in worried.filter(|(_, worries)| !worries.is_empty()) {
            // No alert: the part is replaced again and again, and each time it would be read out.
            section.problem aria-label=(format!("Warning{}", of(&coverage.account))) {
                @for worry in &worries { p { (worry) } }
                p { a href=(PAGE) { "What Stripe has and we have not" (of(&coverage.account)) } }
            }
        }
    }
}

/// In words.
pub(super) fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Flowing => "Events arrive.",
        Verdict::Quiet => "Stripe has no new events for us.",
        Verdict::EndpointDisabled => "The webhook endpoint is turned off at Stripe.",
        Verdict::NoEndpoint => {
            "The account has no webhook endpoint of our address, and events do not arrive."
        }
        Verdict::AnsweredElsewhere => "Stripe was answered with 2xx for events that never came here.",
        Verdict::NotArriving => "Stripe sends, and gets no good answer.",
        Verdict::WrongAccount => "The key is of another account or mode than before: nothing is compared.",
    }
}

/// What to do about a verdict, as in the runbook `TollgateSilentStop`.
pub(super) fn advice(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Flowing | Verdict::Quiet => None,
        Verdict::EndpointDisabled => {
            Some("Mend why deliveries failed, then turn the endpoint on again in Stripe's Dashboard.")
        }
        Verdict::NoEndpoint => {
            Some("Make an endpoint, or name the one there is in TOLLGATE_STRIPE_ENDPOINT.")
        }
        Verdict::AnsweredElsewhere => Some(
            "Send a request to the endpoint's address and find out who answers: a proxy, a CDN, an old deployment. \
             Ingest says 400 to one without a signature.",
        ),
        Verdict::NotArriving => Some(
            "Look in Stripe's Dashboard what it was answered: certificates, DNS, a firewall, a wrong signing secret.",
        ),
        Verdict::WrongAccount => Some(
            "Set the right STRIPE_API_KEY; if the account was changed on purpose, name it in TOLLGATE_STRIPE_ACCOUNT.",
        ),
    }
}

/// Seconds as Postgres says them, for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never below zero"
)]
pub(super) fn ms(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1_000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(word: &str, age: f64, lag: f64) -> Coverage {
        Coverage {
            account: String::new(),
            began_at: 0,
            identity: None,
            looked_until: None,
            covered_until: None,
            verdict: Some(word.to_owned()),
            verdict_since: None,
            endpoint: None,
            deaf_until: 0,
            silence: None,
            round_at: None,
            listed: 0,
            queued: 0,
            parked: 0,
            missing: 0,
            holes: 0,
            gone: 0,
            last_error: None,
            age,
            lag,
        }
    }

    #[test]
    fn somebody_is_warned_where_an_alert_would_fire() {
        for (word, age, lag, expected) in [
            ("flowing", 60.0, 120.0, 0),
            ("quiet", AGE_SECONDS_MAX, LAG_SECONDS_MAX, 0),
            ("not_arriving", 60.0, 120.0, 1),
            ("flowing", 901.0, 120.0, 1),
            ("quiet", 60.0, 3_601.0, 1),
            ("wrong_account", 901.0, 3_601.0, 3),
        ] {
            let coverage = coverage(word, age, lag);
            assert_eq!(worries(&coverage).len(), expected, "{word} {age} {lag}");
            let shown = warning(std::slice::from_ref(&coverage)).into_string();
            assert_eq!(shown.contains(PAGE), expected > 0, "{shown}");
        }
    }

    #[test]
    fn whoever_is_alarmed_is_told_what_to_do() {
        for verdict in Verdict::ALL {
            assert_eq!(advice(verdict).is_some(), verdict.is_alarming(), "{verdict:?}");
        }
    }
}
