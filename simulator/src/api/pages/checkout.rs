//! The page of a Checkout session.

use hyper::StatusCode;

use super::{
    html::{button, escaped, layout},
    nowhere, visitor,
};
use crate::{
    api::{errors::Reply, write::money},
    objects::{checkout::Session, payment_intent::PaymentIntent},
    query::Query,
    shop::{Clerk, Shop},
};

/// Shows the session, or pays, declines or leaves it.
pub(super) fn visit(shop: &mut Shop, id: &str, clicked: Option<&Query>) -> Reply {
    let Some((clerk, session)) = visitor::<Session>(shop, id) else {
        return nowhere();
    };
    let action = clicked.map(|form| form.get("action").unwrap_or_default());
    match (session.status, action) {
        ("open", None) => Reply::page(StatusCode::OK, page(&session, "")),
        // Whoever clicks twice has paid once.
        ("complete", Some("pay" | "debit")) => Reply::see_other(&success(&session)),
        (_, Some("abandon")) => leave(&session),
        ("open", Some("pay")) => pay(clerk, session, clicked.and_then(|form| form.get("email")), false),
        ("open", Some("decline")) => pay(clerk, session, None, true),
        ("open", Some("debit")) => debit(clerk, session),
        ("open", Some(_)) => Reply::page(StatusCode::BAD_REQUEST, page(&session, "No such button.")),
        (status, _) => over(status),
    }
}

/// The card is charged, or declined: because that button was clicked, or because the next payment is to be.
fn pay(mut clerk: Clerk<'_>, mut session: Session, email: Option<&str>, declined: bool) -> Reply {
    let mut payer = clerk.payer(&session);
    if let Some(email) = email.filter(|email| !email.is_empty()) {
        payer.email.get_or_insert_with(|| email.to_owned());
    }
    let before = session.cart.declined.as_deref();
    let before = before.and_then(|id| clerk.get::<PaymentIntent>(id));
    let costs = session.amount > 0 && session.cart.trial_days.is_none();
    let declined = declined || (costs && clerk.shop.takes_decline());
    if declined {
        clerk.play(payer, |history| history.decline_session(&mut session, before));
        let page = page(&session, "Your card was declined.");
        return Reply::page(StatusCode::PAYMENT_REQUIRED, page);
    }
    clerk.play(payer, |history| history.pay_session(&mut session, before));
    Reply::see_other(&success(&session))
}

/// A bank debit is ordered, which takes days.
fn debit(mut clerk: Clerk<'_>, session: Session) -> Reply {
    if session.is_subscription() {
        let page = page(&session, "Subscriptions are paid by card here.");
        return Reply::page(StatusCode::BAD_REQUEST, page);
    }
    let payer = clerk.payer(&session);
    let session = clerk.play(payer, |history| history.debit_session(session));
    Reply::see_other(&success(&session))
}

/// Back to the shop; the session stays open, and expires some time.
fn leave(session: &Session) -> Reply {
    match &session.links.cancel {
        Some(url) => Reply::see_other(url),
        None => Reply::page(StatusCode::OK, layout("Left", "<p>You can close this page.</p>")),
    }
}

fn success(session: &Session) -> String {
    let url = session.links.success.as_deref().unwrap_or_default();
    url.replace("{CHECKOUT_SESSION_ID}", &session.id)
}

fn over(status: &str) -> Reply {
    let text = if status == "expired" {
        "<p>This session has expired.</p>"
    } else {
        "<p>This session is complete.</p>"
    };
    Reply::page(StatusCode::GONE, layout("Checkout", text))
}

fn page(session: &Session, notice: &str) -> String {
    let lines: String = session
        .cart
        .lines
        .iter()
        .map(|(price, quantity)| {
            let amount = money(price.unit_amount * quantity, &price.currency);
            format!("<li>{quantity} × {}: {amount}</li>", escaped(&price.name))
        })
        .collect();
    let trial = session.cart.trial_days.map_or(String::new(), |days| {
        format!("<p>Free for {days} days, then as above.</p>")
    });
    let email = if session.customer.email.is_none() {
        "<label>Email <input name=\"email\" type=\"email\" value=\"buyer@example.com\"></label> "
    } else {
        ""
    };
    let mut body = format!(
        "<p role=\"alert\">{}</p>\n<p class=\"amount\">{}</p>\n<ul>{lines}</ul>\n{trial}\n\
         <form method=\"post\">{email}<button name=\"action\" value=\"pay\">Pay</button></form>\n",
        escaped(notice),
        money(session.amount, &session.currency)
    );
    body += &button("decline", "Pay with a card that is declined", &[]);
    if !session.is_subscription() {
        body += &button("debit", "Pay by bank debit", &[]);
    }
    body += &button("abandon", "Back to the shop", &[]);
    layout("Checkout", &body)
}
