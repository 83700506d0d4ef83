//! Payments without Checkout, and money that goes back.

use serde_json::Value;

use crate::{
    history::{History, money::Debit, reversals::Why},
    objects::{Method, charge::Charge, checkout::Session, payment_intent::PaymentIntent, refund::Refund},
};

/// What is to be paid by an intent.
#[derive(Debug)]
pub(crate) struct Bill {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// What it is to be paid with, if that is known.
    pub(crate) method: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) extra: Value,
}

impl History<'_> {
    /// The shop wants to be paid.
    pub(crate) fn begin_intent(&mut self, bill: Bill) -> PaymentIntent {
        self.by_api();
        let mut intent = self.new_intent(bill.amount, &bill.currency, None, bill.metadata, Method::Card);
        intent.extra = bill.extra;
        if let Some(method) = bill.method {
            intent.payment_method = method;
            intent.status = "requires_confirmation";
        }
        self.emit("payment_intent.created", &intent);
        intent
    }

    /// The card is charged, or declined.
    pub(crate) fn charge_card(&mut self, intent: &mut PaymentIntent, declined: bool) -> Charge {
        self.by_api();
        if declined {
            self.decline(intent)
        } else {
            self.succeed(intent)
        }
    }

    /// The bank wants to see the customer first.
    pub(crate) fn ask_for_action(&mut self, intent: &mut PaymentIntent) {
        self.by_api();
        intent.status = "requires_action";
        self.emit("payment_intent.requires_action", &*intent);
    }

    /// The shop does not want the money any more.
    pub(crate) fn withdraw_intent(&mut self, intent: &mut PaymentIntent, reason: Option<&str>) {
        self.by_api();
        self.cancel_intent(intent, reason);
    }

    /// Money of a card goes back: the bank's answer is there at once.
    pub(crate) fn refund_card(&mut self, charge: &mut Charge, amount: i64, why: Why) -> Refund {
        let status = if charge.method == Method::Card {
            "succeeded"
        } else {
            "pending"
        };
        self.give_back(charge, amount, status, why)
    }

    /// The money of a session's bank debit arrives, or the bank says that it will not.
    pub(crate) fn settle_debit(
        &mut self,
        session: Session,
        intent: PaymentIntent,
        charge: Charge,
        arrives: bool,
    ) {
        let mut debit = Debit {
            session,
            intent,
            charge,
            credits: 0,
        };
        self.conclude_debit(&mut debit, arrives);
    }
}
