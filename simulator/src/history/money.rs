//! Payments, top-ups, refunds and disputes.

use serde_json::{Value, json};

use super::{DAY, History};
use crate::objects::{
    Method,
    catalogue::Price,
    charge::Charge,
    checkout::{OPEN_SECONDS, Purchase, Session},
    dispute::Dispute,
    payment_intent::PaymentIntent,
    refund::Refund,
};

impl History<'_> {
    /// One attempt of an intent, not announced yet.
    fn new_charge(&mut self, intent: &mut PaymentIntent, status: &'static str) -> Charge {
        let prefix = if intent.method == Method::Card { "ch" } else { "py" };
        let charge = Charge {
            id: self.payment_id(prefix),
            created: self.clock,
            amount: intent.amount,
            amount_refunded: 0,
            currency: intent.currency.clone(),
            customer: self.customer.id.clone(),
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
        self.emit("charge.succeeded", charge.json(self.version));
        self.emit("payment_intent.succeeded", intent.json(self.version));
        charge
    }

    /// The card is declined.
    pub(super) fn decline(&mut self, intent: &mut PaymentIntent) -> Charge {
        let charge = self.new_charge(intent, "failed");
        intent.status = "requires_payment_method";
        intent.failed_charge = Some(charge.id.clone());
        self.emit("charge.failed", charge.json(self.version));
        self.emit("payment_intent.payment_failed", intent.json(self.version));
        charge
    }

    /// The intent will not be tried again.
    pub(super) fn cancel_intent(&mut self, intent: &mut PaymentIntent, reason: &'static str) {
        intent.status = "canceled";
        intent.canceled_at = Some(self.clock);
        intent.cancellation_reason = Some(reason);
        self.emit("payment_intent.canceled", intent.json(self.version));
    }

    fn top_up_metadata(&self, price: &Price) -> Value {
        json!({
            "user_id": self.customer.user_id, "credits": price.credits.to_string(), "price_id": price.id
        })
    }

    fn open_session(&mut self, price: &Price, method: Method) -> Session {
        Session {
            id: self.mint.session(),
            created: self.clock,
            customer: self.customer.clone(),
            purchase: Purchase::Payment { intent: None },
            amount: price.unit_amount,
            currency: price.currency.to_owned(),
            metadata: self.top_up_metadata(price),
            method,
            status: "open",
            payment_status: "unpaid",
        }
    }

    /// Credits are bought through Checkout with a card.
    pub(super) fn top_up(&mut self, price: &Price) -> Charge {
        let mut session = self.open_session(price, Method::Card);
        self.by_api();
        self.pass(15, 200);
        let metadata = session.metadata.clone();
        let mut intent = self.new_intent(price.unit_amount, price.currency, None, metadata, Method::Card);
        self.emit("payment_intent.created", intent.json(self.version));
        let charge = self.succeed(&mut intent);
        self.clock += 1;
        self.by_itself();
        session.purchase = Purchase::Payment {
            intent: Some(intent.id),
        };
        session.status = "complete";
        session.payment_status = "paid";
        self.emit("checkout.session.completed", session.json(self.version));
        charge
    }

    /// Credits are bought by bank debit: complete at once, paid (or not) days later.
    pub(super) fn top_up_delayed(&mut self, price: &Price, arrives: bool) -> Charge {
        let mut session = self.open_session(price, Method::UsBankAccount);
        self.by_api();
        self.pass(15, 200);
        let metadata = session.metadata.clone();
        let method = Method::UsBankAccount;
        let mut intent = self.new_intent(price.unit_amount, price.currency, None, metadata, method);
        let mut charge = self.new_charge(&mut intent, "pending");
        intent.status = "processing";
        self.emit("charge.pending", charge.json(self.version));
        self.emit("payment_intent.processing", intent.json(self.version));
        self.clock += 1;
        self.by_itself();
        session.purchase = Purchase::Payment {
            intent: Some(intent.id.clone()),
        };
        session.status = "complete";
        self.emit("checkout.session.completed", session.json(self.version));
        self.pass(3 * DAY, 5 * DAY);
        self.conclude_debit(&mut intent, &mut charge, arrives);
        self.clock += 1;
        session.payment_status = if arrives { "paid" } else { "unpaid" };
        let outcome = if arrives { "succeeded" } else { "failed" };
        let kind = format!("checkout.session.async_payment_{outcome}");
        self.emit(&kind, session.json(self.version));
        charge
    }

    fn conclude_debit(&mut self, intent: &mut PaymentIntent, charge: &mut Charge, arrives: bool) {
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
        self.emit(charged, charge.json(self.version));
        self.emit(concluded, intent.json(self.version));
    }

    /// Nobody completes the session within its day.
    pub(super) fn abandon_checkout(&mut self, price: &Price) {
        let mut session = self.open_session(price, Method::Card);
        self.by_itself();
        self.clock += OPEN_SECONDS;
        session.status = "expired";
        self.emit("checkout.session.expired", session.json(self.version));
    }

    /// `amount` minor units go back. Current endpoints see `refund.*`, old ones only the charge;
    /// source: <https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update>.
    pub(super) fn refund(&mut self, charge: &mut Charge, amount: i64) -> Refund {
        self.by_api();
        let prefix = if charge.method == Method::Card {
            "re"
        } else {
            "pyr"
        };
        charge
            .balance_transaction
            .get_or_insert_with(|| self.mint.payment_id("txn", self.clock));
        let refund = Refund {
            id: self.payment_id(prefix),
            created: self.clock,
            amount,
            status: "pending",
            charge: charge.clone(),
            balance_transaction: self.payment_id("txn"),
            failure_balance_transaction: None,
        };
        if self.version.is_current() {
            self.emit("refund.created", refund.json(self.version));
        }
        let before = charge.json(self.version);
        charge.amount_refunded += amount;
        self.emit_change("charge.refunded", &before, charge.json(self.version));
        refund
    }

    /// The bank reports that the money went back.
    pub(super) fn complete_refund(&mut self, refund: &mut Refund) {
        self.by_itself();
        self.pass(2 * 3600, DAY);
        let before = refund.json(self.version);
        refund.status = "succeeded";
        let after = refund.json(self.version);
        if self.version.is_current() {
            self.emit_change("refund.updated", &before, after.clone());
        }
        self.emit_change("charge.refund.updated", &before, after);
    }

    /// The bank could not deliver the refund: the money is the shop's again.
    pub(super) fn fail_refund(&mut self, charge: &mut Charge, refund: &mut Refund) {
        self.by_itself();
        self.pass(2 * DAY, 4 * DAY);
        let before = refund.json(self.version);
        refund.status = "failed";
        refund.failure_balance_transaction = Some(self.payment_id("txn"));
        charge.amount_refunded -= refund.amount;
        let after = refund.json(self.version);
        if self.version.is_current() {
            self.emit("refund.failed", after.clone());
        }
        self.emit_change("charge.refund.updated", &before, after);
    }

    /// The bank disputes a charge: as a chargeback, or first as an inquiry, which moves no money.
    pub(super) fn open_dispute(&mut self, charge: &mut Charge, inquiry: bool) -> Dispute {
        self.by_itself();
        charge.disputed = true;
        let mut dispute = Dispute {
            id: self.id("du"),
            created: self.clock,
            status: if inquiry {
                "warning_needs_response"
            } else {
                "needs_response"
            },
            charge: charge.clone(),
            evidence: false,
            movements: Vec::new(),
        };
        if !inquiry {
            dispute
                .movements
                .push((self.id("txn"), self.clock, -charge.amount));
        }
        self.emit("charge.dispute.created", dispute.json(self.version));
        if !inquiry {
            self.emit("charge.dispute.funds_withdrawn", dispute.json(self.version));
        }
        dispute
    }

    /// The shop hands in its evidence.
    pub(super) fn answer_dispute(&mut self, dispute: &mut Dispute) {
        self.by_api();
        self.pass(DAY, 5 * DAY);
        let before = dispute.json(self.version);
        dispute.evidence = true;
        let inquiry = dispute.status.starts_with("warning_");
        dispute.status = if inquiry {
            "warning_under_review"
        } else {
            "under_review"
        };
        self.emit_change("charge.dispute.updated", &before, dispute.json(self.version));
    }

    /// The bank decides: `won`, `lost` or `warning_closed`.
    pub(super) fn close_dispute(&mut self, dispute: &mut Dispute, status: &'static str) {
        self.by_itself();
        self.pass(10 * DAY, 25 * DAY);
        dispute.status = status;
        if status == "won" {
            let amount = dispute.charge.amount;
            dispute.movements.push((self.id("txn"), self.clock, amount));
        }
        self.emit("charge.dispute.closed", dispute.json(self.version));
        if status == "won" {
            self.emit("charge.dispute.funds_reinstated", dispute.json(self.version));
        }
    }
}
