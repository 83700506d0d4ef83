//! Payments, and the top-ups they are for.

use serde_json::{Value, json};

use super::{DAY, History};
use crate::objects::{
    Method,
    catalogue::Price,
    charge::Charge,
    checkout::{Cart, Links, OPEN_SECONDS, Purchase, Session},
    payment_intent::PaymentIntent,
};

/// A bank debit on its way, and the session it completed.
#[derive(Debug)]
pub(super) struct Debit {
    pub(super) session: Session,
    pub(super) intent: PaymentIntent,
    pub(super) charge: Charge,
    /// What it buys.
    pub(super) credits: i64,
}

impl History<'_> {
    pub(super) fn new_intent(
        &mut self,
        amount: i64,
        currency: &str,
        invoice: Option<String>,
        metadata: Value,
        method: Method,
    ) -> PaymentIntent {
        let intent = PaymentIntent {
            id: self.payment_id("pi"),
            secret: self.mint.text(25),
            created: self.clock,
            amount,
            currency: currency.to_owned(),
            customer: (!self.guest).then(|| self.customer.id.clone()),
            invoice,
            metadata,
            method,
            payment_method: self.id("pm"),
            status: "requires_payment_method",
            latest_charge: None,
            failed_charge: None,
            canceled_at: None,
            cancellation_reason: None,
            extra: Value::Null,
        };
        self.books.keep((&intent).into());
        intent
    }

    /// One attempt of an intent, not announced yet.
    fn new_charge(&mut self, intent: &mut PaymentIntent, status: &'static str) -> Charge {
        let prefix = if intent.method == Method::Card { "ch" } else { "py" };
        let charge = Charge {
            id: self.payment_id(prefix),
            created: self.clock,
            amount: intent.amount,
            amount_refunded: 0,
            currency: intent.currency.clone(),
            customer: intent.customer.clone(),
            payer: (self.customer.name.clone(), self.customer.email.clone()),
            invoice: intent.invoice.clone(),
            intent: intent.id.clone(),
            metadata: intent.metadata.clone(),
            method: intent.method,
            payment_method: intent.payment_method.clone(),
            status,
            disputed: false,
            balance_transaction: None,
            fingerprint: self.mint.text(16),
            receipt: self.mint.text(70),
        };
        intent.latest_charge = Some(charge.id.clone());
        charge
    }

    /// The money arrives at once.
    pub(super) fn succeed(&mut self, intent: &mut PaymentIntent) -> Charge {
        let charge = self.new_charge(intent, "succeeded");
        intent.status = "succeeded";
        self.emit("charge.succeeded", &charge);
        self.emit("payment_intent.succeeded", &*intent);
        charge
    }

    /// The card is declined.
    pub(super) fn decline(&mut self, intent: &mut PaymentIntent) -> Charge {
        let charge = self.new_charge(intent, "failed");
        intent.status = "requires_payment_method";
        intent.failed_charge = Some(charge.id.clone());
        self.emit("charge.failed", &charge);
        self.emit("payment_intent.payment_failed", &*intent);
        charge
    }

    /// The intent will not be tried again.
    pub(super) fn cancel_intent(&mut self, intent: &mut PaymentIntent, reason: Option<&str>) {
        intent.status = "canceled";
        intent.canceled_at = Some(self.clock);
        intent.cancellation_reason = reason.map(str::to_owned);
        self.emit("payment_intent.canceled", &*intent);
    }

    fn top_up_metadata(&self, price: &Price) -> Value {
        json!({
            "user_id": self.customer.user_id(), "credits": price.credits().to_string(), "price_id": price.id
        })
    }

    fn open_session(&mut self, price: &Price, method: Method) -> Session {
        Session {
            id: self.mint.session(),
            created: self.clock,
            expires_at: self.clock + OPEN_SECONDS,
            links: Links::default(),
            reference: Some(self.customer.user_id().to_owned()),
            customer: self.customer.clone(),
            guest: self.guest,
            purchase: Purchase::Payment { intent: None },
            amount: price.unit_amount,
            currency: price.currency.clone(),
            metadata: self.top_up_metadata(price),
            method,
            status: "open",
            payment_status: "unpaid",
            cart: Cart::default(),
            extra: Value::Null,
        }
    }

    /// Credits are bought through Checkout with a card.
    pub(super) fn top_up(&mut self, price: &Price) -> Charge {
        let mut session = self.open_session(price, Method::Card);
        self.by_api();
        self.pass(15, 200);
        let metadata = session.metadata.clone();
        let mut intent = self.new_intent(price.unit_amount, &price.currency, None, metadata, Method::Card);
        self.emit("payment_intent.created", &intent);
        let charge = self.succeed(&mut intent);
        self.wait(1);
        let credits = price.credits();
        self.books
            .topped_up(&session.id, credits, &intent.id, intent.amount);
        self.complete_payment(&mut session, &intent);
        charge
    }

    /// An intent has paid for a session.
    pub(super) fn complete_payment(&mut self, session: &mut Session, intent: &PaymentIntent) {
        self.by_itself();
        session.purchase = Purchase::Payment {
            intent: Some(intent.id.clone()),
        };
        session.status = "complete";
        session.payment_status = "paid";
        self.emit("checkout.session.completed", &*session);
    }

    /// Credits are bought by bank debit: complete at once, paid (or not) days later.
    pub(super) fn top_up_delayed(&mut self, price: &Price, arrives: bool) -> Charge {
        let mut debit = self.begin_debit(price);
        self.pass(3 * DAY, 5 * DAY);
        self.conclude_debit(&mut debit, arrives);
        debit.charge
    }

    /// A bank debit is ordered: the session is complete, the money is on its way.
    pub(super) fn begin_debit(&mut self, price: &Price) -> Debit {
        let session = self.open_session(price, Method::UsBankAccount);
        self.by_api();
        self.pass(15, 200);
        let metadata = session.metadata.clone();
        let method = Method::UsBankAccount;
        let intent = self.new_intent(price.unit_amount, &price.currency, None, metadata, method);
        let mut debit = self.order_debit(session, intent);
        debit.credits = price.credits();
        debit
    }

    /// The session's own bank debit is ordered.
    pub(super) fn order_debit(&mut self, mut session: Session, mut intent: PaymentIntent) -> Debit {
        let charge = self.new_charge(&mut intent, "pending");
        intent.status = "processing";
        self.emit("charge.pending", &charge);
        self.emit("payment_intent.processing", &intent);
        self.wait(1);
        self.by_itself();
        session.purchase = Purchase::Payment {
            intent: Some(intent.id.clone()),
        };
        session.status = "complete";
        self.emit("checkout.session.completed", &session);
        Debit {
            session,
            intent,
            charge,
            credits: 0,
        }
    }

    /// The money of a bank debit arrives, or the bank says that it will not.
    pub(super) fn conclude_debit(&mut self, debit: &mut Debit, arrives: bool) {
        self.by_itself();
        self.move_debit(&mut debit.intent, &mut debit.charge, arrives);
        self.wait(1);
        let outcome = if arrives { "succeeded" } else { "failed" };
        if arrives {
            debit.session.payment_status = "paid";
            let (session, intent) = (&debit.session, &debit.intent);
            self.books
                .topped_up(&session.id, debit.credits, &intent.id, intent.amount);
        }
        let kind = format!("checkout.session.async_payment_{outcome}");
        self.emit(&kind, &debit.session);
    }

    fn move_debit(&mut self, intent: &mut PaymentIntent, charge: &mut Charge, arrives: bool) {
        let (status, charged, concluded) = if arrives {
            ("succeeded", "charge.succeeded", "payment_intent.succeeded")
        } else {
            ("failed", "charge.failed", "payment_intent.payment_failed")
        };
        charge.status = status;
        intent.status = if arrives {
            "succeeded"
        } else {
            "requires_payment_method"
        };
        intent.failed_charge = (!arrives).then(|| charge.id.clone());
        self.emit(charged, &*charge);
        self.emit(concluded, &*intent);
    }

    /// Nobody completes the session within its day.
    pub(super) fn abandon_checkout(&mut self, price: &Price) {
        let mut session = self.open_session(price, Method::Card);
        self.by_itself();
        self.clock += OPEN_SECONDS;
        session.status = "expired";
        self.emit("checkout.session.expired", &session);
    }
}
