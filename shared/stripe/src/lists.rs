//! All objects of a kind, page by page: <https://docs.stripe.com/api/pagination>.

use serde::Serialize;
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::budgeted::Budgeted;
use crate::error::FetchError;
use crate::fetched::Listed;
use crate::object::{Retrievable, is_id};
use crate::request::{PAGE_ROWS_MAX, Request};

/// When objects were made, unix seconds; both ends are among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeSpan {
    /// The earliest; `None`: since ever.
    pub since: Option<i64>,
    /// The latest.
    pub until: i64,
}

#[derive(Serialize)]
struct ListAll<'a> {
    limit: u32,
    #[serde(rename = "created[gte]", skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(rename = "created[lte]")]
    until: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

impl Request {
    /// Lists all objects of a kind, newest first, from behind `after` on; of subscriptions also those that have ended.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id or account that cannot be one.
    pub fn all(
        account: Option<&str>,
        kind: Retrievable,
        span: MadeSpan,
        after: Option<&str>,
    ) -> Result<Self, FetchError> {
        if after.is_some_and(|after| !is_id(after)) {
            return Err(FetchError::unusable("not an id"));
        }
        let query = ListAll {
            limit: PAGE_ROWS_MAX,
            since: span.since,
            until: span.until,
            status: (kind == Retrievable::Subscription).then_some("all"),
            starting_after: after,
        };
        let path = format!("/{}", kind.collection());
        let builder = RequestBuilder::new(StripeMethod::Get, path).query(&query);
        Self::v1(builder, account)
    }
}

impl Budgeted {
    /// Lists one page of all objects of a kind, from behind `after` on.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list_all(
        &self,
        account: Option<&str>,
        kind: Retrievable,
        span: MadeSpan,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        let request = Request::all(account, kind, span, after)?;
        self.ask(&request).await?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_narrowed_down_by_when_its_objects_were_made() {
        let of = |kind, since, after| {
            let span = MadeSpan { since, until: 9 };
            let request = Request::all(None, kind, span, after).expect("usable");
            (request.path, request.query.expect("one"))
        };
        assert_eq!(
            of(Retrievable::Subscription, None, None),
            (
                "/v1/subscriptions".to_owned(),
                "limit=100&created%5Blte%5D=9&status=all".to_owned()
            )
        );
        assert_eq!(
            of(Retrievable::CheckoutSession, Some(5), Some("cs_1")),
            (
                "/v1/checkout/sessions".to_owned(),
                "limit=100&created%5Bgte%5D=5&created%5Blte%5D=9&starting_after=cs_1".to_owned()
            )
        );
        let span = MadeSpan {
            since: None,
            until: 9,
        };
        assert!(Request::all(None, Retrievable::Refund, span, Some("")).is_err());
    }
}
