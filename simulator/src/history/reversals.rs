//! Money that goes back: refunds and disputes.

use serde_json::{Value, json};

use super::{DAY, History};
use crate::objects::{Method, charge::Charge, dispute::Dispute, refund::Refund};

/// What the shop says about a refund.
#[derive(Debug, Clone)]
pub(crate) struct Why {
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Value,
}

impl History<'_> {
    /// `amount` minor units go back. Current endpoints see `refund.*`, old ones only the charge;
    /// source: <https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update>.
    pub(super) fn refund(&mut self, charge: &mut Charge, amount: i64) -> Refund {
        let why = Why {
            reason: Some("requested_by_customer".to_owned()),
            metadata: json!({}),
        };
        self.give_back(charge, amount, "pending", why)
    }

    /// As [`History::refund`], for a reason, and with the status that the bank's answer comes to.
    pub(super) fn give_back(
        &mut self,
        charge: &mut Charge,
        amount: i64,
        status: &'static str,
        why: Why,
    ) -> Refund {
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
            status,
            reason: why.reason,
            metadata: why.metadata,
            charge: charge.clone(),
            balance_transaction: self.payment_id("txn"),
            failure_balance_transaction: None,
        };
        if self.version.is_current() {
            self.emit("refund.created", &refund);
        } else {
            self.books.keep((&refund).into());
        }
        let before = charge.json(self.version);
        charge.amount_refunded += amount;
        self.books.refunded(&charge.intent, amount);
        self.emit_change("charge.refunded", &before, &*charge);
        refund
    }

    /// The bank reports that the money went back.
    pub(super) fn complete_refund(&mut self, refund: &mut Refund) {
        self.by_itself();
        self.pass(2 * 3600, DAY);
        let before = refund.json(self.version);
        refund.status = "succeeded";
        if self.version.is_current() {
            self.emit_change("refund.updated", &before, &*refund);
        }
        self.emit_change("charge.refund.updated", &before, &*refund);
    }

    /// The bank could not deliver the refund: the money is the shop's again.
    pub(crate) fn fail_refund(&mut self, charge: &mut Charge, refund: &mut Refund) {
        self.by_itself();
        self.pass(2 * DAY, 4 * DAY);
        let before = refund.json(self.version);
        refund.status = "failed";
        refund.failure_balance_transaction = Some(self.payment_id("txn"));
        charge.amount_refunded -= refund.amount;
        self.books.refunded(&charge.intent, -refund.amount);
        self.books.keep((&*charge).into());
        if self.version.is_current() {
            self.emit("refund.failed", &*refund);
        }
        self.emit_change("charge.refund.updated", &before, &*refund);
    }

    /// The bank disputes a charge: as a chargeback, or first as an inquiry, which moves no money.
    pub(crate) fn open_dispute(&mut self, charge: &mut Charge, amount: i64, inquiry: bool) -> Dispute {
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
            amount,
            evidence: false,
            movements: Vec::new(),
        };
        self.books.keep((&*charge).into());
        if !inquiry {
            self.withdraw(&mut dispute);
        }
        self.emit("charge.dispute.created", &dispute);
        if !inquiry {
            self.emit("charge.dispute.funds_withdrawn", &dispute);
        }
        dispute
    }

    /// The bank takes the money.
    fn withdraw(&mut self, dispute: &mut Dispute) {
        let movement = (self.id("txn"), self.clock, -dispute.amount);
        dispute.movements.push(movement);
        self.books.disputed(&dispute.charge.intent, dispute.amount);
    }

    /// An inquiry becomes a chargeback.
    pub(super) fn escalate_dispute(&mut self, dispute: &mut Dispute) {
        self.by_itself();
        self.pass(DAY, 5 * DAY);
        let before = dispute.json(self.version);
        dispute.status = "needs_response";
        dispute.evidence = false;
        self.withdraw(dispute);
        self.emit_change("charge.dispute.updated", &before, &*dispute);
        self.emit("charge.dispute.funds_withdrawn", &*dispute);
    }

    /// The shop hands in its evidence.
    pub(crate) fn answer_dispute(&mut self, dispute: &mut Dispute) {
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
        self.emit_change("charge.dispute.updated", &before, &*dispute);
    }

    /// The bank decides: `won`, `lost` or `warning_closed`.
    pub(crate) fn close_dispute(&mut self, dispute: &mut Dispute, status: &'static str) {
        self.by_itself();
        self.pass(10 * DAY, 25 * DAY);
        dispute.status = status;
        if status == "won" {
            let movement = (self.id("txn"), self.clock, dispute.amount);
            dispute.movements.push(movement);
            self.books.disputed(&dispute.charge.intent, -dispute.amount);
        }
        self.emit("charge.dispute.closed", &*dispute);
        if status == "won" {
            self.emit("charge.dispute.funds_reinstated", &*dispute);
        }
    }
}
