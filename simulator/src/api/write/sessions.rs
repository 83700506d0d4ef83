//! Checkout sessions: <https://docs.stripe.com/api/checkout/sessions>.

use serde_json::{Value, json};

use super::{
    Deed, Target,
    lines::{Line, chargeable},
    named, referred,
};
use crate::{
    api::{
        errors::Reply,
        form::{Part, Read},
        pages::CHECKOUT,
    },
    json::merge,
    objects::{
        Method,
        catalogue::Price,
        checkout::{Cart, Links, OPEN_SECONDS, Purchase, Session},
        customer::Customer,
    },
    shop::Clerk,
};

/// A session is open for at least that long, seconds.
const OPEN_SECONDS_MIN: i64 = 1800;
const LINES_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Payment,
    Subscription,
    Setup,
}

const MODES: [(&str, Mode); 3] = [
    ("payment", Mode::Payment),
    ("setup", Mode::Setup),
    ("subscription", Mode::Subscription),
];
/// Both names of a page of Stripe's own.
const HOSTED: [(&str, ()); 2] = [("hosted", ()), ("hosted_page", ())];
const CREATION: [(&str, bool); 2] = [("always", true), ("if_required", false)];

/// What a session is to be.
struct Wanted {
    mode: Mode,
    lines: Vec<Line>,
    customer: Option<String>,
    email: Option<String>,
    reference: Option<String>,
    links: Links,
    expires_at: Option<i64>,
    metadata: Value,
    cart: Cart,
    extra: Value,
}

impl Wanted {
    fn read(form: &Part<'_>, target: &Target<'_>) -> Read<Self> {
        let text = |key| form.text(key).map(|text| text.map(str::to_owned));
        let mode = form.word("mode", &MODES)?;
        let mode = mode.ok_or_else(|| Reply::missing_parameter("mode"))?;
        if mode == Mode::Setup {
            let message = "The simulation knows the modes payment and subscription.";
            return Err(Reply::bad_parameter("mode", message));
        }
        form.word("ui_mode", &HOSTED)?;
        form.texts("payment_method_types");
        let wanted = Self {
            mode,
            lines: lines(form)?,
            customer: text("customer")?,
            email: text("customer_email")?,
            reference: text("client_reference_id")?,
            links: links(form, target)?,
            expires_at: form.integer("expires_at")?,
            metadata: form.metadata()?.fresh(),
            cart: cart(form, mode)?,
            extra: extra(form)?,
        };
        if wanted.customer.is_some() && wanted.email.is_some() {
            let message = "You may only specify one of these parameters: customer, customer_email.";
            return Err(Reply::bad_parameter("customer", message));
        }
        Ok(wanted)
    }
}

fn lines(form: &Part<'_>) -> Read<Vec<Line>> {
    let lines = form.each("line_items");
    if lines.is_empty() {
        return Err(Reply::missing_parameter("line_items"));
    }
    if lines.len() > LINES_MAX {
        let message = format!("You may have up to {LINES_MAX} line items.");
        return Err(Reply::bad_parameter("line_items", &message));
    }
    lines.iter().map(Line::read).collect()
}

fn links(form: &Part<'_>, target: &Target<'_>) -> Read<Links> {
    let success = form.url("success_url")?;
    Ok(Links {
        page: format!("{}{CHECKOUT}", target.origin),
        success: Some(success.ok_or_else(|| Reply::missing_parameter("success_url"))?),
        cancel: form.url("cancel_url")?,
    })
}

fn cart(form: &Part<'_>, mode: Mode) -> Read<Cart> {
    let (subscription, payment) = (form.at("subscription_data"), form.at("payment_intent_data"));
    let (own, other, name) = match mode {
        Mode::Subscription => (&subscription, &payment, "subscription"),
        Mode::Payment | Mode::Setup => (&payment, &subscription, "payment"),
    };
    if other.is_there() {
        let param = if mode == Mode::Subscription {
            "payment_intent_data"
        } else {
            "subscription_data"
        };
        let message = format!("You can not pass `{param}` in `{name}` mode.");
        return Err(Reply::bad_parameter(param, &message));
    }
    let trial_days = match mode {
        Mode::Subscription => own.at_least("trial_period_days", 1)?,
        Mode::Payment | Mode::Setup => None,
    };
    Ok(Cart {
        lines: Vec::new(),
        metadata: own.metadata()?.fresh(),
        trial_days,
        creates_customer: form.word("customer_creation", &CREATION)?.unwrap_or(false),
        declined: None,
    })
}

fn extra(form: &Part<'_>) -> Read<Value> {
    let codes = form.boolean("allow_promotion_codes")?;
    let codes = codes.map_or(Value::Null, |codes| json!({"allow_promotion_codes": codes}));
    let email = form.extra(&["customer_email"])?;
    let rest = form.extra(&["billing_address_collection", "locale", "submit_type"])?;
    Ok(merge([codes, email, rest]))
}

pub(super) fn create(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let wanted = Wanted::read(form, target)?;
    Ok(Box::new(move |clerk| {
        let customer = buyer(clerk, &wanted)?;
        let expires_at = closing_time(clerk.time(), wanted.expires_at)?;
        let mut cart = wanted.cart;
        for line in wanted.lines {
            cart.lines.push(line.price(clerk)?);
        }
        let amount = total(wanted.mode, &cart.lines)?;
        let session = clerk.play(customer.clone(), |history| {
            let session = Session {
                id: history.session_id(),
                created: history.now(),
                expires_at,
                links: wanted.links,
                reference: wanted.reference,
                guest: customer.id.is_empty(),
                customer,
                purchase: match wanted.mode {
                    Mode::Payment | Mode::Setup => Purchase::Payment { intent: None },
                    Mode::Subscription => Purchase::Subscription {
                        subscription: None,
                        invoice: None,
                    },
                },
                amount,
                currency: cart.lines[0].0.currency.clone(),
                metadata: wanted.metadata,
                method: Method::Card,
                status: "open",
                payment_status: "unpaid",
                cart,
                extra: wanted.extra,
            };
            history.keep(&session);
            session
        });
        Ok((&session).into())
    }))
}

/// The customer who is named, or somebody who may become one.
fn buyer(clerk: &Clerk<'_>, wanted: &Wanted) -> Read<Customer> {
    let Some(id) = &wanted.customer else {
        let mut nobody = Customer::nobody();
        nobody.email.clone_from(&wanted.email);
        return Ok(nobody);
    };
    let customer: Customer = referred(clerk, id, "customer")?;
    if customer.deleted {
        let status = hyper::StatusCode::BAD_REQUEST;
        return Err(Reply::no_such(status, "customer", id, "customer"));
    }
    Ok(customer)
}

fn closing_time(now: i64, wanted: Option<i64>) -> Read<i64> {
    let Some(at) = wanted else {
        return Ok(now + OPEN_SECONDS);
    };
    if (now + OPEN_SECONDS_MIN..=now + OPEN_SECONDS).contains(&at) {
        return Ok(at);
    }
    let message = "The `expires_at` timestamp must be at least 30 minutes and less than 24 hours from Checkout \
        Session creation.";
    Err(Reply::bad_parameter("expires_at", message))
}

/// What the cart costs, if it can be bought in that mode.
fn total(mode: Mode, lines: &[(Price, i64)]) -> Read<i64> {
    let refuse = |message: &str| Err(Reply::bad_parameter("line_items", message));
    let currency = &lines[0].0.currency;
    if lines.iter().any(|(price, _)| price.currency != *currency) {
        return refuse("All line items must have the same currency.");
    }
    let recurring = lines
        .iter()
        .filter(|(price, _)| price.recurring.is_some())
        .count();
    let amount = lines
        .iter()
        .map(|(price, quantity)| price.unit_amount * quantity)
        .sum();
    match mode {
        Mode::Subscription if recurring == 0 => {
            refuse("You must provide at least one recurring price in `subscription` mode when using prices.")
        }
        Mode::Subscription if lines.len() > 1 => refuse("A simulated subscription has one item."),
        Mode::Subscription => Ok(amount),
        _ if recurring > 0 => refuse(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use \
             only one-time prices.",
        ),
        _ => chargeable(amount, currency).map(|()| amount),
    }
}

pub(super) fn expire(_: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    Ok(Box::new(move |clerk| {
        let session: Session = named(clerk, &id)?;
        if session.status != "open" {
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a \
                 status of `{}`.",
                session.status
            );
            return Err(Reply::bad_parameter("session", &message));
        }
        clerk.expire_session(&id, true);
        let session: Session = named(clerk, &id)?;
        Ok((&session).into())
    }))
}
