//! The customer portal: what a customer may do about their subscriptions.

use hyper::StatusCode;

use super::{
    html::{button, escaped, layout},
    nowhere, visitor,
};
use crate::{
    api::{
        errors::Reply,
        form::Read,
        write::{Switch, active_price, money},
    },
    history::Change,
    objects::{catalogue::Price, portal::Portal, subscription::Subscription},
    query::Query,
    shop::{Clerk, Shop},
};

/// Shows the subscriptions, or does what was clicked.
pub(super) fn visit(shop: &mut Shop, id: &str, clicked: Option<&Query>) -> Reply {
    let Some((mut clerk, portal)) = visitor::<Portal>(shop, id) else {
        return nowhere();
    };
    let Some(form) = clicked else {
        return Reply::page(StatusCode::OK, page(&clerk, &portal));
    };
    match act(&mut clerk, &portal, form) {
        Ok(()) => Reply::see_other(&format!("{}{}", portal.page, portal.id)),
        Err(refusal) => *refusal,
    }
}

fn act(clerk: &mut Clerk<'_>, portal: &Portal, form: &Query) -> Read<()> {
    let id = form.get("subscription").unwrap_or_default();
    let found = clerk.get::<Subscription>(id);
    let found = found.filter(|it| it.customer == portal.customer && is_running(it));
    let mut it = found.ok_or_else(|| Reply::missing("subscription", id))?;
    let customer = clerk.customer(Some(&it.customer));
    match form.get("action") {
        Some("cancel") if it.cancel_at.is_none() => {
            clerk.play(customer, |history| history.plan_end(&mut it, None));
        }
        Some("resume") if it.cancel_at.is_some() => {
            clerk.play(customer, |history| history.undo_cancel(&mut it));
        }
        Some("switch") => {
            let price = active_price(clerk, form.get("price").unwrap_or_default(), "price")?;
            let switch = Switch {
                to: (price, it.quantity),
                change: Change::AlwaysInvoice,
                may_fail: true,
            };
            switch.carry_out(clerk, &mut it)?;
        }
        Some("cancel" | "resume") => {}
        _ => return Err(Reply::bad_parameter("action", "One of cancel, resume, switch.")),
    }
    Ok(())
}

fn is_running(it: &Subscription) -> bool {
    !matches!(it.status, "canceled" | "incomplete_expired")
}

fn page(clerk: &Clerk<'_>, portal: &Portal) -> String {
    let running = clerk.all::<Subscription>(|it| it.customer == portal.customer && is_running(it));
    let mut body: String = running.iter().map(|it| section(clerk, it)).collect();
    if running.is_empty() {
        body.push_str("<p>No subscriptions.</p>");
    }
    if let Some(url) = &portal.return_url {
        body += &format!("<p><a href=\"{}\">Back to the shop</a></p>", escaped(url));
    }
    layout("Your subscriptions", &body)
}

fn section(clerk: &Clerk<'_>, it: &Subscription) -> String {
    let this = ("subscription", it.id.as_str());
    let amount = money(it.price.unit_amount * it.quantity, &it.price.currency);
    let mut html = format!(
        "<h2>{} × {}: {amount}</h2><p>{}</p>",
        it.quantity,
        escaped(&it.price.name),
        escaped(it.status)
    );
    html += &match it.cancel_at {
        None => button("cancel", "Cancel at the end of the period", &[this]),
        Some(_) => button("resume", "Do not cancel", &[this]),
    };
    let fits = |price: &&Price| {
        price.active
            && price.id != it.price.id
            && price.recurring == it.price.recurring
            && price.currency == it.price.currency
    };
    for price in clerk.all::<Price>(fits) {
        let amount = money(price.unit_amount, &price.currency);
        let label = format!("Switch to {} ({amount})", price.name);
        html += &button("switch", &label, &[this, ("price", &price.id)]);
    }
    html
}
