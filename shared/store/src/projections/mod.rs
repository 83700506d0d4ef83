//! One table per kind of object, each row the snapshot that stands. Sorting a batch by kind happens here;
//! the columns are in one file per area.

mod catalog;
mod checkout;
mod columns;
mod customers;
mod entitlements;
mod invoices;
mod payments;
mod subscriptions;

use std::collections::BTreeMap;

use domain::objects::{
    Charge, CheckoutSession, Customer, Dispute, EntitlementSummary, Invoice, InvoicePayment, PaymentIntent,
    Price, Product, Refund, Subscription,
};
use domain::{Kind, Object, ObjectKey, Snapshot, Version};
use sqlx::PgConnection;

use columns::{Deed, Found};

/// What all projections have in common.
struct Head {
    key: ObjectKey,
    version: Version,
    livemode: bool,
    deleted: bool,
}

/// An object on its way into its table.
struct Row<T> {
    head: Head,
    object: T,
}

/// A member of an object that has a table of its own, such as a line of an invoice.
struct Part<'a, T> {
    of: &'a ObjectKey,
    position: i32,
    part: &'a T,
}

/// All members of all objects. They replace what there was, also when a snapshot has only the first page of them: what a
/// table holds is one snapshot, never a mixture that depends on which came before.
fn parts<'a, T, P>(rows: &'a [Row<T>], members: impl Fn(&'a T) -> &'a Vec<P>) -> Vec<Part<'a, P>> {
    let of_row = |row: &'a Row<T>| {
        let numbered = (0..).zip(members(&row.object));
        numbered.map(|(position, part)| Part {
            of: &row.head.key,
            position,
            part,
        })
    };
    rows.iter().flat_map(of_row).collect()
}

/// A batch, sorted by kind.
#[derive(Default)]
struct Batch {
    charges: Vec<Row<Charge>>,
    checkout_sessions: Vec<Row<CheckoutSession>>,
    customers: Vec<Row<Customer>>,
    disputes: Vec<Row<Dispute>>,
    entitlement_summaries: Vec<Row<EntitlementSummary>>,
    invoices: Vec<Row<Invoice>>,
    invoice_payments: Vec<Row<InvoicePayment>>,
    payment_intents: Vec<Row<PaymentIntent>>,
    prices: Vec<Row<Price>>,
    products: Vec<Row<Product>>,
    refunds: Vec<Row<Refund>>,
    subscriptions: Vec<Row<Subscription>>,
}

impl Batch {
    fn push(&mut self, snapshot: Snapshot) {
        let Snapshot {
            key,
            version,
            livemode,
            deleted,
            object,
        } = snapshot;
        let head = Head {
            key,
            version,
            livemode,
            deleted,
        };
        match object {
            Object::Charge(object) => self.charges.push(Row {
                head,
                object: *object,
            }),
            Object::CheckoutSession(object) => self.checkout_sessions.push(Row {
                head,
                object: *object,
            }),
            Object::Customer(object) => self.customers.push(Row {
                head,
                object: *object,
            }),
            Object::Dispute(object) => self.disputes.push(Row {
                head,
                object: *object,
            }),
            Object::EntitlementSummary(object) => self.entitlement_summaries.push(Row { head, object }),
            Object::Invoice(object) => self.invoices.push(Row {
                head,
                object: *object,
            }),
            Object::InvoicePayment(object) => self.invoice_payments.push(Row {
                head,
                object: *object,
            }),
            Object::PaymentIntent(object) => self.payment_intents.push(Row {
                head,
                object: *object,
            }),
            Object::Price(object) => self.prices.push(Row {
                head,
                object: *object,
            }),
            Object::Product(object) => self.products.push(Row {
                head,
                object: *object,
            }),
            Object::Refund(object) => self.refunds.push(Row {
                head,
                object: *object,
            }),
            Object::Subscription(object) => self.subscriptions.push(Row {
                head,
                object: *object,
            }),
        }
    }
}

/// How an object, as somebody shows it, compares with what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which object.
    pub key: ObjectKey,
    /// The event whose snapshot is held, and its `created`; `None` when none is.
    pub held: Option<(String, i64)>,
    /// Columns and tables of parts that are others, by name; none when nothing differs.
    pub members: Vec<String>,
}

/// Writes a batch of standing snapshots, one statement per table. Their objects are locked, so no order
/// between tables is needed.
pub(crate) async fn write(connection: &mut PgConnection, changes: Vec<Snapshot>) -> Result<(), sqlx::Error> {
    apply(connection, changes, Deed::Write).await?;
    Ok(())
}

/// Compares snapshots with what is held, each object once: in key order, whether it differs or not. Nothing is locked.
pub(crate) async fn compare(
    connection: &mut PgConnection,
    snapshots: Vec<Snapshot>,
) -> Result<Vec<Difference>, sqlx::Error> {
    let mut compared: BTreeMap<ObjectKey, Difference> = BTreeMap::new();
    for (kind, found) in apply(connection, snapshots, Deed::Compare).await? {
        let key = ObjectKey {
            account: found.account,
            kind,
            id: found.id,
        };
        let difference = compared.entry(key.clone()).or_insert(Difference {
            key,
            held: None,
            members: Vec::new(),
        });
        difference.held = difference.held.take().or(found.held);
        difference.members.extend(found.members);
    }
    Ok(compared.into_values().collect())
}

async fn apply(
    connection: &mut PgConnection,
    snapshots: Vec<Snapshot>,
    deed: Deed,
) -> Result<Vec<(Kind, Found)>, sqlx::Error> {
    let mut it = Batch::default();
    snapshots.into_iter().for_each(|snapshot| it.push(snapshot));
    let mut all = Vec::new();
    let mut add = |kind: Kind, found: Vec<Found>| all.extend(found.into_iter().map(|found| (kind, found)));
    add(
        Kind::Customer,
        customers::apply(connection, &it.customers, deed).await?,
    );
    add(
        Kind::Subscription,
        subscriptions::apply(connection, &it.subscriptions, deed).await?,
    );
    add(
        Kind::Invoice,
        invoices::apply(connection, &it.invoices, deed).await?,
    );
    add(
        Kind::InvoicePayment,
        invoices::apply_payments(connection, &it.invoice_payments, deed).await?,
    );
    add(
        Kind::PaymentIntent,
        payments::apply_payment_intents(connection, &it.payment_intents, deed).await?,
    );
    add(
        Kind::Charge,
        payments::apply_charges(connection, &it.charges, deed).await?,
    );
    add(
        Kind::Refund,
        payments::apply_refunds(connection, &it.refunds, deed).await?,
    );
    add(
        Kind::Dispute,
        payments::apply_disputes(connection, &it.disputes, deed).await?,
    );
    add(
        Kind::CheckoutSession,
        checkout::apply(connection, &it.checkout_sessions, deed).await?,
    );
    add(
        Kind::Product,
        catalog::apply_products(connection, &it.products, deed).await?,
    );
    add(
        Kind::Price,
        catalog::apply_prices(connection, &it.prices, deed).await?,
    );
    add(
        Kind::EntitlementSummary,
        entitlements::apply(connection, &it.entitlement_summaries, deed).await?,
    );
    Ok(all)
}
