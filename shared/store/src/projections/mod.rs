//! One table per kind of object, each row the snapshot that stands. Sorting a batch by kind happens here;
//! the columns are in one file per area.

mod catalog;
mod checkout;
mod customers;
mod entitlements;
mod invoices;
mod payments;
mod subscriptions;

use domain::objects::{
    Charge, CheckoutSession, Customer, Dispute, EntitlementSummary, Invoice, InvoicePayment, PaymentIntent,
    Price, Product, Refund, Subscription,
};
use domain::{Object, ObjectKey, Snapshot, Version};
use sqlx::PgConnection;

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

/// Writes a batch of standing snapshots, one statement per table. Their objects are locked, so no order
/// between tables is needed.
pub(crate) async fn write(connection: &mut PgConnection, changes: Vec<Snapshot>) -> Result<(), sqlx::Error> {
    let mut batch = Batch::default();
    changes.into_iter().for_each(|change| batch.push(change));
    customers::write(connection, &batch.customers).await?;
    subscriptions::write(connection, &batch.subscriptions).await?;
    invoices::write(connection, &batch.invoices).await?;
    invoices::write_payments(connection, &batch.invoice_payments).await?;
    payments::write_payment_intents(connection, &batch.payment_intents).await?;
    payments::write_charges(connection, &batch.charges).await?;
    payments::write_refunds(connection, &batch.refunds).await?;
    payments::write_disputes(connection, &batch.disputes).await?;
    checkout::write(connection, &batch.checkout_sessions).await?;
    catalog::write_products(connection, &batch.products).await?;
    catalog::write_prices(connection, &batch.prices).await?;
    entitlements::write(connection, &batch.entitlement_summaries).await
}
