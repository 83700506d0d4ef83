//! The webhook endpoint at Stripe: on, told what we apply, in a version we know; and Stripe's clock.

use std::collections::BTreeSet;

use shared::clock::Clock;
use shared::config::{Env, Reader};
use simulator::ApiVersion;
use stripe_api::{Client, FetchError, Fetched, Listed, Request, WebhookEndpoint};
use worker::EVENT_TYPES;

use super::clocks;
use super::finding::{Finding, fail, ok, skipped, warn};

/// Stripe says its time in whole seconds, and when it was at least.
const UNSURE_MS: u64 = 2_000;
/// The newest version this build was tried with.
const NEWEST: ApiVersion = ApiVersion::V2026_10_28Endive;
/// What an endpoint subscribes to that is sent everything.
const EVERYTHING: &str = "*";
/// Types that are named in a finding; of more, the number.
const NAMED_MAX: usize = 12;

pub(super) async fn examine(env: &Env, clock: &Clock, url: Option<&str>) -> Vec<Finding> {
    let mut reader = Reader::new(env);
    let settings = stripe_api::read_settings(&mut reader);
    let Ok(Some(settings)) = reader.finish(settings) else {
        return vec![skipped(
            "stripe.endpoint",
            "without a usable STRIPE_API_KEY nobody can look at it",
        )];
    };
    let client = match Client::new(settings, clock.clone()) {
        Ok(client) => client,
        Err(error) => {
            return vec![fail(
                "stripe.reachable",
                error.to_string(),
                "mend TOLLGATE_STRIPE_API_URL",
            )];
        }
    };
    let answer = match Request::webhook_endpoints(None) {
        Ok(request) => client.ask(&request).await,
        Err(error) => Err(error),
    };
    match answer.and_then(read) {
        Ok((endpoints, as_of)) => {
            let ahead_ms = (as_of - clock.unix_seconds()) * 1_000;
            let mut findings = judge(&endpoints, url);
            findings.insert(0, ok("stripe.reachable", "it answers, and the key is good"));
            findings.push(clocks::judge("clock.stripe", "Stripe", ahead_ms, UNSURE_MS));
            findings
        }
        Err(error) => vec![refused(&error)],
    }
}

fn read(fetched: Fetched) -> Result<(Vec<WebhookEndpoint>, i64), FetchError> {
    let listed = Listed::try_from(fetched)?;
    Ok((WebhookEndpoint::of(&listed)?, listed.as_of))
}

fn refused(error: &FetchError) -> Finding {
    let name = "stripe.reachable";
    match (error, error.detail().status) {
        (FetchError::Refused(_), Some(403)) => warn(
            name,
            "the key may not read webhook endpoints, so nobody can look at ours",
            "let the restricted key read Webhook Endpoints, or look in the Dashboard",
        ),
        (FetchError::Refused(_), _) => {
            fail(name, error.to_string(), "make a new key, and set STRIPE_API_KEY")
        }
        (_, _) => fail(
            name,
            error.to_string(),
            "see https://status.stripe.com, and the way out of this machine",
        ),
    }
}

/// Ours are those with this address, or, where none is given, those that end as ours do.
fn judge(endpoints: &[WebhookEndpoint], url: Option<&str>) -> Vec<Finding> {
    let is_ours = |it: &&WebhookEndpoint| match url {
        Some(url) => it.url == url,
        None => it.url.contains(ingest::PATH),
    };
    let ours: Vec<&WebhookEndpoint> = endpoints.iter().filter(is_ours).collect();
    if ours.is_empty() {
        let seen = match url {
            Some(url) => format!("none with the address {url}"),
            None => format!("none whose address contains {}", ingest::PATH),
        };
        let remedy =
            "add it in the Dashboard under Developers, Webhooks; or name its address with --endpoint";
        return vec![warn("stripe.endpoint", seen, remedy)];
    }
    let on: Vec<&WebhookEndpoint> = ours.iter().copied().filter(|it| it.status == "enabled").collect();
    let mut findings = vec![is_on(&ours, &on)];
    if !on.is_empty() {
        findings.extend([events(&on), versions(&on)]);
    }
    findings
}

fn is_on(ours: &[&WebhookEndpoint], on: &[&WebhookEndpoint]) -> Finding {
    let name = "stripe.endpoint";
    let off: Vec<&str> = ours
        .iter()
        .filter(|it| it.status != "enabled")
        .map(|it| &*it.url)
        .collect();
    let remedy =
        "turn it on in the Dashboard (Stripe turns off what fails for days), then resync what was missed";
    match (on.is_empty(), off.is_empty()) {
        (true, _) => fail(name, format!("turned off: {}", off.join(", ")), remedy),
        (false, false) => warn(name, format!("turned off: {}", off.join(", ")), remedy),
        (false, true) => {
            let urls: Vec<&str> = on.iter().map(|it| &*it.url).collect();
            ok(name, format!("on: {}", urls.join(", ")))
        }
    }
}

/// All endpoints together should be sent what we apply.
fn events(on: &[&WebhookEndpoint]) -> Finding {
    let name = "stripe.events";
    let sent: BTreeSet<&str> = on
        .iter()
        .flat_map(|it| &it.enabled_events)
        .map(String::as_str)
        .collect();
    let missing: Vec<&str> = EVENT_TYPES.into_iter().filter(|it| !sent.contains(it)).collect();
    if sent.contains(EVERYTHING) || missing.is_empty() {
        return ok(name, "everything that is applied is sent");
    }
    let named = missing
        .iter()
        .take(NAMED_MAX)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let more = match missing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let remedy = "subscribe to them in the Dashboard: what is not sent is only learned of by asking Stripe";
    warn(name, format!("not sent: {named}{more}"), remedy)
}

/// Objects are read by shape, so any version will do that was there when this build was made.
fn versions(on: &[&WebhookEndpoint]) -> Finding {
    let name = "stripe.api_version";
    let versions: BTreeSet<&str> = on
        .iter()
        .map(|it| it.api_version.as_deref().unwrap_or("the account's"))
        .collect();
    let seen = Vec::from_iter(versions.iter().copied()).join(", ");
    let date = |version: &str| {
        version
            .get(..10)
            .filter(|date| date.starts_with("20"))
            .map(str::to_owned)
    };
    let newest = date(NEWEST.as_str());
    if versions.iter().any(|version| date(version) > newest) {
        let remedy =
            format!("look at tollgate_drift_total: this build was tried with versions up to {NEWEST}");
        return warn(name, format!("{seen}, newer than this build"), remedy);
    }
    ok(name, seen)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn endpoint() -> WebhookEndpoint {
        WebhookEndpoint {
            id: "we_1".into(),
            created: 7,
            url: "https://a.example/webhooks/stripe".into(),
            status: "enabled".into(),
            api_version: Some("2025-03-31.basil".into()),
            enabled_events: EVENT_TYPES.map(str::to_owned).into(),
        }
    }

    fn verdicts(endpoints: &[WebhookEndpoint]) -> Vec<(String, Verdict)> {
        judge(endpoints, None)
            .into_iter()
            .map(|it| (it.name, it.verdict))
            .collect()
    }

    #[test]
    fn an_endpoint_is_on_and_sent_what_is_applied_in_a_version_we_know() {
        let elsewhere = WebhookEndpoint {
            url: "https://b.example/hooks".into(),
            status: "disabled".into(),
            ..endpoint()
        };
        let good = verdicts(&[endpoint(), elsewhere.clone()]);
        assert!(
            good.iter().all(|(_, verdict)| *verdict == Verdict::Ok),
            "{good:?}"
        );
        assert_eq!(good.len(), 3);
        let cases: [(&str, Verdict, WebhookEndpoint); 4] = [
            ("stripe.endpoint", Verdict::Warn, elsewhere),
            (
                "stripe.endpoint",
                Verdict::Fail,
                WebhookEndpoint {
                    status: "disabled".into(),
                    ..endpoint()
                },
            ),
            (
                "stripe.events",
                Verdict::Warn,
                WebhookEndpoint {
                    enabled_events: vec!["invoice.paid".into()],
                    ..endpoint()
                },
            ),
            (
                "stripe.api_version",
                Verdict::Warn,
                WebhookEndpoint {
                    api_version: Some("2099-01-01.zen".into()),
                    ..endpoint()
                },
            ),
        ];
        for (name, expected, endpoint) in cases {
            let bad = verdicts(&[endpoint]);
            let bad: Vec<_> = bad.into_iter().filter(|(_, it)| *it != Verdict::Ok).collect();
            assert_eq!(bad, [(name.to_owned(), expected)]);
        }
        let all = WebhookEndpoint {
            enabled_events: vec![EVERYTHING.into()],
            api_version: None,
            ..endpoint()
        };
        assert!(
            verdicts(&[all])
                .iter()
                .all(|(_, verdict)| *verdict == Verdict::Ok)
        );
    }
}
