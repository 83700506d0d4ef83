//! What Stripe says of the events it has, of where it sends them, and of whose they are.

use serde::{Deserialize, Serialize};
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::budgeted::Budgeted;
use crate::error::FetchError;
use crate::fetched::{Fetched, Listed};
use crate::object::{EVENTS, is_id};
use crate::request::{PAGE_ROWS_MAX, Request};

/// Which events are listed, unix seconds; both ends are among them. Stripe keeps 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpan {
    /// The earliest.
    pub since: i64,
    /// The latest; `None`: up to now.
    pub until: Option<i64>,
}

/// A webhook endpoint, as Stripe knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WebhookEndpoint {
    /// `we_...`
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// `enabled` or `disabled`.
    pub status: String,
    /// What its events are rendered in; `None`: the account's own.
    pub api_version: Option<String>,
    /// Types of events, or `*`.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// When it was made, unix seconds.
    pub created: i64,
}

impl WebhookEndpoint {
    /// Those of a list.
    ///
    /// # Errors
    /// [`FetchError`] when one lacks what every endpoint has.
    pub fn of(listed: &Listed) -> Result<Vec<Self>, FetchError> {
        listed.items.iter().map(|body| read(body)).collect()
    }
}

/// Whose the key is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnAccount {
    /// `acct_...`
    pub id: String,
}

#[derive(Serialize)]
struct ListEvents<'a> {
    limit: u32,
    #[serde(rename = "created[gte]")]
    since: i64,
    #[serde(rename = "created[lte]", skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

impl Request {
    /// Lists events, newest first, from behind `after` on.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn events(account: Option<&str>, span: EventSpan, after: Option<&str>) -> Result<Self, FetchError> {
        if after.is_some_and(|after| !is_id(after)) {
            return Err(FetchError::unusable("not an id"));
        }
        let query = ListEvents {
            limit: PAGE_ROWS_MAX,
            since: span.since,
            until: span.until,
            starting_after: after,
        };
        let builder = RequestBuilder::new(StripeMethod::Get, format!("/{EVENTS}")).query(&query);
        Self::v1(builder, account)
    }
}

impl Budgeted {
    /// Lists one page of events, newest first, from behind `after` on. They are rendered in the account's version.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list_events(
        &self,
        account: Option<&str>,
        span: EventSpan,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        self.ask(&Request::events(account, span, after)?)
            .await?
            .try_into()
    }

    /// One event, by its id.
    ///
    /// # Errors
    /// [`FetchError`]; `Gone` once it is older than Stripe keeps events.
    pub async fn event(&self, account: Option<&str>, id: &str) -> Result<Fetched, FetchError> {
        self.retrieve_path(account, &format!("/v1/{EVENTS}/{id}")).await
    }

    /// The platform's webhook endpoints, those for connected accounts among them, and as of when: see [`Listed::as_of`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn webhook_endpoints(&self) -> Result<(Vec<WebhookEndpoint>, i64), FetchError> {
        let listed: Listed = self.ask(&Request::webhook_endpoints(None)?).await?.try_into()?;
        Ok((WebhookEndpoint::of(&listed)?, listed.as_of))
    }

    /// The account that the key belongs to.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn own_account(&self) -> Result<OwnAccount, FetchError> {
        read(&self.retrieve_path(None, "/v1/account").await?.body)
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|_| FetchError::unusable("the answer lacks what was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_becomes_a_query() {
        let query = |until, after| {
            let span = EventSpan { since: 5, until };
            let request = Request::events(Some("acct_1"), span, after).expect("usable");
            assert_eq!(
                (request.path.as_str(), request.account()),
                ("/v1/events", Some("acct_1"))
            );
            request.query.expect("one")
        };
        assert_eq!(query(None, None), "limit=100&created%5Bgte%5D=5");
        assert_eq!(
            query(Some(9), Some("evt_1")),
            "limit=100&created%5Bgte%5D=5&created%5Blte%5D=9&starting_after=evt_1"
        );
        let span = EventSpan {
            since: 5,
            until: None,
        };
        assert!(Request::events(None, span, Some("")).is_err());
    }

    #[test]
    fn endpoints_are_read_by_what_is_needed() {
        let body = br#"{"id":"we_1","url":"https://a/b","status":"enabled","created":3,"enabled_events":["*"],"x":1}"#;
        let endpoint: WebhookEndpoint = read(body).expect("one");
        assert_eq!((endpoint.status.as_str(), endpoint.created), ("enabled", 3));
        assert!(read::<WebhookEndpoint>(b"{}").is_err());
    }
}
