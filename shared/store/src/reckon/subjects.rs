//! From marked objects to what may follow from them.

use std::sync::LazyLock;

use domain::credits::SourceKind;
use sqlx::{PgConnection, Row};

use crate::Mark;
use crate::marks::USER;
use crate::upsert::column;

/// An id within an account: of a customer, a subscription or a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// The id.
    pub id: String,
}

/// Something that was paid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// What it is.
    pub kind: SourceKind,
    /// Stripe's id.
    pub id: String,
}

/// What a set of marks is about. Sorted and without repeats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects {
    /// Whose are they? Also those whose answer the other subjects depend on.
    pub customers: Vec<Id>,
    /// What do they mean?
    pub subscriptions: Vec<Id>,
    /// Where do they stand?
    pub users: Vec<Id>,
    /// What do they grant?
    pub sources: Vec<SourceKey>,
}

/// The payment intents and charges that marks are about, for the queries below.
const MONEY: &str = "
    mark AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS mark (account, kind, id)),
    reversal AS (
        SELECT r.account, r.payment_intent_id, r.charge_id FROM mark
        JOIN refunds r ON mark.kind = 'refund' AND (r.account, r.id) = (mark.account, mark.id)
        UNION ALL
        SELECT d.account, d.payment_intent_id, d.charge_id FROM mark
        JOIN disputes d ON mark.kind = 'dispute' AND (d.account, d.id) = (mark.account, mark.id)),
    charge AS (
        SELECT account, id FROM mark WHERE kind = 'charge'
        UNION SELECT account, charge_id FROM reversal WHERE charge_id IS NOT NULL),
    payment AS (
        SELECT account, id FROM mark WHERE kind = 'payment_intent'
        UNION SELECT s.account, s.payment_intent_id FROM mark
              JOIN checkout_sessions s ON mark.kind = 'checkout.session' AND (s.account, s.id) = (mark.account, mark.id)
        UNION SELECT account, payment_intent_id FROM reversal WHERE payment_intent_id IS NOT NULL
        UNION SELECT c.account, c.payment_intent_id FROM charge
              JOIN charges c ON (c.account, c.id) = (charge.account, charge.id)
              WHERE c.payment_intent_id IS NOT NULL)";

/// Invoices, by every way in which a part can name them. What is not paid and never was has no effect.
const INVOICES: &str = "
    SELECT i.account, 'invoice' AS kind, i.id, i.customer_id FROM (
        SELECT account, id FROM mark WHERE kind = 'invoice'
        UNION SELECT p.account, p.invoice_id FROM mark
              JOIN invoice_payments p ON mark.kind = 'invoice_payment' AND (p.account, p.id) = (mark.account, mark.id)
        UNION SELECT p.account, p.invoice_id FROM payment
              JOIN invoice_payments p ON (p.account, p.payment_intent_id) = (payment.account, payment.id)
        UNION SELECT p.account, p.invoice_id FROM charge
              JOIN invoice_payments p ON (p.account, p.charge_id) = (charge.account, charge.id)
        UNION SELECT i.account, i.id FROM payment
              JOIN invoices i ON (i.account, i.payment_intent_id) = (payment.account, payment.id)
        UNION SELECT i.account, i.id FROM charge
              JOIN invoices i ON (i.account, i.charge_id) = (charge.account, charge.id)
        UNION SELECT p.account, p.invoice_id FROM payment
              JOIN payment_intents p ON (p.account, p.id) = (payment.account, payment.id)
        UNION SELECT c.account, c.invoice_id FROM charge
              JOIN charges c ON (c.account, c.id) = (charge.account, charge.id)
        UNION SELECT s.account, s.id FROM mark
              JOIN money_sources s ON mark.kind = 'price' AND s.problem = 'unknown_price'
                   AND s.problem_detail = mark.id AND s.account = mark.account
    ) AS named
    JOIN invoices i ON (i.account, i.id) = (named.account, named.id)
    WHERE i.status = 'paid' OR EXISTS (
        SELECT FROM money_sources s WHERE (s.account, s.kind, s.id) = (i.account, 'invoice', i.id))";

const SESSIONS: &str = "
    SELECT s.account, 'checkout.session', s.id, s.customer_id FROM (
        SELECT account, id FROM mark WHERE kind = 'checkout.session'
        UNION SELECT s.account, s.id FROM payment
              JOIN checkout_sessions s ON (s.account, s.payment_intent_id) = (payment.account, payment.id)
    ) AS named
    JOIN checkout_sessions s ON (s.account, s.id) = (named.account, named.id)
    WHERE (s.mode = 'payment' AND s.status = 'complete' AND s.payment_status IN ('paid', 'no_payment_required'))
       OR EXISTS (SELECT FROM money_sources m WHERE (m.account, m.kind, m.id) = (s.account, 'checkout.session', s.id))";

/// Top-ups that did not go through Checkout say so: Checkout's payment intents carry the same metadata.
const PAYMENT_INTENTS: &str = "
    SELECT p.account, 'payment_intent', p.id, p.customer_id FROM payment
    JOIN payment_intents p ON (p.account, p.id) = (payment.account, payment.id)
    WHERE p.status = 'succeeded' AND p.metadata ->> 'credits_source' = 'payment_intent'
       OR EXISTS (SELECT FROM money_sources m WHERE (m.account, m.kind, m.id) = (p.account, 'payment_intent', p.id))";

/// Customers and users named by what is marked, beside those of the sources.
const PEOPLE: &str = "
    SELECT mark.account, 'customer', mark.id FROM mark WHERE kind = 'customer'
    UNION SELECT s.account, 'customer', s.customer_id FROM mark
          JOIN subscriptions s ON mark.kind = 'subscription' AND (s.account, s.id) = (mark.account, mark.id)
    UNION SELECT s.account, 'customer', s.customer_id FROM mark
          JOIN checkout_sessions s ON mark.kind = 'checkout.session' AND (s.account, s.id) = (mark.account, mark.id)
    UNION SELECT s.account, 'user', s.user_id FROM mark
          JOIN checkout_sessions s ON mark.kind = 'checkout.session' AND (s.account, s.id) = (mark.account, mark.id)";

/// What the marks are about, as far as it is committed.
pub(crate) async fn of_marks(connection: &mut PgConnection, marks: &[Mark]) -> Result<Subjects, sqlx::Error> {
    let mut subjects = Subjects::default();
    for mark in marks {
        let id = || Id {
            account: mark.account.clone(),
            id: mark.id.clone(),
        };
        match mark.kind.as_str() {
            "subscription" => subjects.subscriptions.push(id()),
            USER => subjects.users.push(id()),
            _ => {}
        }
    }
    for (account, kind, id, customer) in fetch(connection, marks).await? {
        let named = |id| Id {
            account: account.clone(),
            id,
        };
        subjects.customers.extend(customer.map(named));
        let kind = match kind.as_str() {
            "customer" => {
                subjects.customers.push(named(id));
                continue;
            }
            USER => {
                subjects.users.push(named(id));
                continue;
            }
            "invoice" => SourceKind::Invoice,
            "checkout.session" => SourceKind::CheckoutSession,
            _ => SourceKind::PaymentIntent,
        };
        subjects.sources.push(SourceKey { account, kind, id });
    }
    sort(&mut subjects.customers);
    sort(&mut subjects.subscriptions);
    sort(&mut subjects.users);
    sort(&mut subjects.sources);
    Ok(subjects)
}

pub(crate) fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}

/// All of these at once: account, kind, id, and the customer of what was paid.
static NAMED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {MONEY} (({INVOICES}) UNION ({SESSIONS}) UNION ({PAYMENT_INTENTS}))
         UNION ALL SELECT *, NULL FROM ({PEOPLE}) AS named (account, kind, id) WHERE id IS NOT NULL"
    )
});

type Named = (String, String, String, Option<String>);

async fn fetch(connection: &mut PgConnection, marks: &[Mark]) -> Result<Vec<Named>, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(NAMED.as_str()))
        .bind(column!(marks, mark => mark.account.as_str()))
        .bind(column!(marks, mark => mark.kind.as_str()))
        .bind(column!(marks, mark => mark.id.as_str()))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))
        .collect()
}
