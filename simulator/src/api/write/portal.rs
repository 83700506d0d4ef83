//! Sessions of the customer portal: <https://docs.stripe.com/api/customer_portal/sessions>.

use super::{Deed, Target, referred};
use crate::{
    api::{
        errors::Reply,
        form::{Part, Read},
        pages::PORTAL,
    },
    objects::{customer::Customer, portal::Portal},
};

/// What our portal lets customers do, under one id.
const CONFIGURATION: &str = "bpc_1SimulatedPortal";

pub(super) fn create(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let customer = form.needed("customer")?.to_owned();
    let return_url = form.url("return_url")?;
    let page = format!("{}{PORTAL}", target.origin);
    Ok(Box::new(move |clerk| {
        let who: Customer = referred(clerk, &customer, "customer")?;
        if who.deleted {
            return Err(Reply::no_such(
                hyper::StatusCode::BAD_REQUEST,
                "customer",
                &customer,
                "customer",
            ));
        }
        let portal = clerk.play(who, |history| {
            let portal = Portal {
                id: history.dated_id("bps"),
                created: history.now(),
                customer,
                page,
                return_url,
                configuration: CONFIGURATION.to_owned(),
            };
            history.keep(&portal);
            portal
        });
        Ok((&portal).into())
    }))
}
