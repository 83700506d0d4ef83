//! Objects of Stripe with everything of them: an invoice shows only its first lines.

use stripe_api::{Budgeted, FetchError, Fetched, ObjectRef, Retrievable};

use crate::refetch::{id_of, lacks_lines, put_lines};

/// Pages read of one list: 10,000 rows.
pub(crate) const PAGES_MAX: usize = 100;

/// Asks for an object, and for what Stripe only began to show of it.
///
/// # Errors
/// [`FetchError`].
pub async fn retrieve(stripe: &Budgeted, object: &ObjectRef) -> Result<Fetched, FetchError> {
    let fetched = stripe.retrieve(object).await?;
    whole(stripe, object, fetched).await
}

/// The object with everything of it that Stripe only began to show.
///
/// # Errors
/// [`FetchError`].
pub async fn whole(stripe: &Budgeted, object: &ObjectRef, fetched: Fetched) -> Result<Fetched, FetchError> {
    if object.kind != Retrievable::Invoice || !lacks_lines(&fetched.body) {
        return Ok(fetched);
    }
    let mut lines = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let account = object.account.as_deref();
        let page = stripe
            .list_invoice_lines(account, &object.id, after.as_deref())
            .await?;
        after = page.items.last().and_then(|body| id_of(body));
        lines.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    Ok(Fetched {
        body: put_lines(&fetched.body, &lines).unwrap_or(fetched.body),
        as_of: fetched.as_of,
    })
}
