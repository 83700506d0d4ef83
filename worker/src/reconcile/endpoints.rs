//! Which of an account's webhook endpoints are ours: pure.

use domain::silence::EndpointState;
use stripe_api::WebhookEndpoint;

/// Where an ingest takes events, unless a proxy gives it another address.
const PATH: &str = "/webhooks/stripe";
const ENABLED: &str = "enabled";
/// All types.
const EVERYTHING: &str = "*";

/// What Stripe knows of our endpoints, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Whether events are sent there.
    pub state: EndpointState,
    /// Since when the oldest is there, unix seconds.
    pub made_at: Option<i64>,
    /// Types of events that are sent there, or `*`.
    pub enabled_events: Vec<String>,
    /// When that was so, unix seconds by Stripe's clock, which is the one that events have.
    pub as_of: i64,
}

impl Ours {
    /// Those an operator named, by id or address; otherwise those with a path of ingest's.
    #[must_use]
    pub fn of(all: &[WebhookEndpoint], named: Option<&str>, as_of: i64) -> Self {
        let ours: Vec<_> = all.iter().filter(|it| is_ours(it, named)).collect();
        let enabled: Vec<_> = ours.iter().filter(|it| it.status == ENABLED).copied().collect();
        let state = match (ours.is_empty(), enabled.is_empty()) {
            (true, _) => EndpointState::Absent,
            (false, true) => EndpointState::Disabled,
            (false, false) => EndpointState::Enabled,
        };
        // Of one that is off, too: what it would have been sent is missing.
        let told = if enabled.is_empty() { &ours } else { &enabled };
        let types = told.iter().flat_map(|it| it.enabled_events.iter().cloned());
        let mut enabled_events: Vec<String> = types.collect();
        if told.is_empty() {
            enabled_events.push(EVERYTHING.to_owned());
        }
        Self {
            state,
            made_at: told.iter().map(|it| it.created).min(),
            enabled_events,
            as_of,
        }
    }
}

fn is_ours(endpoint: &WebhookEndpoint, named: Option<&str>) -> bool {
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    match named {
        Some(named) => endpoint.id == named || plain(&endpoint.url) == plain(named),
        None => path(&endpoint.url).is_some_and(|path| path == PATH || path.starts_with(&format!("{PATH}/"))),
    }
}

fn path(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    Some(path.split(['?', '#']).next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: &str, url: &str, status: &str) -> WebhookEndpoint {
        WebhookEndpoint {
            id: id.to_owned(),
            url: url.to_owned(),
            status: status.to_owned(),
            api_version: None,
            enabled_events: vec![format!("of.{id}")],
            created: 7,
        }
    }

    #[test]
    fn ours_are_found_and_taken_together() {
        use EndpointState::{Absent, Disabled, Enabled};
        let ours = endpoint("we_1", "https://shop.example/webhooks/stripe", "enabled");
        let off = endpoint("we_2", "https://shop.example/webhooks/stripe/eu", "disabled");
        let other = endpoint("we_3", "https://crm.example/hook", "enabled");
        let all = [ours.clone(), off.clone(), other.clone()];
        for (all, named, state, types) in [
            (&all[..], None, Enabled, vec!["of.we_1"]),
            (&all[1..], None, Disabled, vec!["of.we_2"]),
            (&all[2..], None, Absent, vec!["*"]),
            (&[], None, Absent, vec!["*"]),
            (&all[..], Some("we_3"), Enabled, vec!["of.we_3"]),
            (
                &all[..],
                Some("https://crm.example/hook/"),
                Enabled,
                vec!["of.we_3"],
            ),
            (&all[..], Some("https://shop.example/hook"), Absent, vec!["*"]),
        ] {
            let ours = Ours::of(all, named, 9);
            assert_eq!(
                (ours.state, ours.enabled_events.clone()),
                (state, types.iter().map(ToString::to_string).collect()),
                "{named:?}"
            );
            assert_eq!(ours.made_at, (state != Absent).then_some(7));
        }
        assert_eq!(path("https://a"), None);
        assert_eq!(path("https://a/webhooks/stripes"), Some("/webhooks/stripes"));
    }
}
