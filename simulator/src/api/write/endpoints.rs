//! Webhook endpoints: <https://docs.stripe.com/api/webhook_endpoints>.

use super::{Deed, Target, named};
use crate::{
    api::form::{Part, Read},
    objects::endpoint::Endpoint,
};

/// Turned off or on. What happens while it is off is never sent.
pub(super) fn update(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let (id, disabled) = (target.id.to_owned(), form.boolean("disabled")?);
    Ok(Box::new(move |clerk| {
        let mut endpoint: Endpoint = named(clerk, &id)?;
        if let Some(disabled) = disabled {
            endpoint.enabled = !disabled;
            clerk.shop.post.turn(endpoint.enabled);
            clerk.keep((&endpoint).into());
        }
        Ok((&endpoint).into())
    }))
}
