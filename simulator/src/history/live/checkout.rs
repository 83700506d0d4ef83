//! What somebody does on the page of a Checkout session.

use serde_json::{Value, json};

use crate::{
    history::{DAY, History},
    objects::{
        Method,
        checkout::{Purchase, Session},
        payment_intent::PaymentIntent,
    },
};

impl History<'_> {
    /// Somebody who is to be a customer becomes one when they pay.
    fn greet(&mut self, session: &mut Session) {
        let subscribes = matches!(session.purchase, Purchase::Subscription { .. });
        if session.guest && (subscribes || session.cart.creates_customer) {
            session.customer = self.welcome();
            session.guest = false;
        }
    }

    /// The card is good; `declined` is the intent of an attempt with one that was not.
    pub(crate) fn pay_session(&mut self, session: &mut Session, declined: Option<PaymentIntent>) {
        self.by_api();
        self.greet(session);
        match session.purchase {
            Purchase::Payment { .. } => self.pay_once(session, declined),
            Purchase::Subscription { .. } if session.cart.trial_days.is_some() => self.try_out(session),
            Purchase::Subscription { .. } => self.pay_subscription(session, declined),
        }
    }

    fn pay_once(&mut self, session: &mut Session, declined: Option<PaymentIntent>) {
        let mut intent = declined.unwrap_or_else(|| self.intent_of(session, Method::Card));
        self.succeed(&mut intent);
        self.complete_payment(session, &intent);
    }

    fn pay_subscription(&mut self, session: &mut Session, declined: Option<PaymentIntent>) {
        let Some((price, quantity)) = session.cart.lines.first().cloned() else {
            return;
        };
        self.quantity = quantity;
        let (mut subscription, mut invoice) = self.new_paid_subscription(&price);
        subscription.metadata = session.cart.metadata.clone();
        invoice.metadata = session.cart.metadata.clone();
        let payment_status = if invoice.total() == 0 {
            subscription.status = "active";
            self.begin_unpaid(&mut subscription, &mut invoice);
            "no_payment_required"
        } else {
            let mut intent = match declined {
                Some(intent) => PaymentIntent {
                    invoice: Some(invoice.id.clone()),
                    ..intent
                },
                None => self.intent_for(&invoice),
            };
            self.pay_first(&mut subscription, &mut invoice, &mut intent);
            "paid"
        };
        self.complete_subscription(session, (subscription.id, invoice.id), payment_status);
    }

    fn try_out(&mut self, session: &mut Session) {
        let Some((price, quantity)) = session.cart.lines.first().cloned() else {
            return;
        };
        self.quantity = quantity;
        let length = session.cart.trial_days.unwrap_or(0) * DAY;
        let (mut subscription, mut invoice) = self.new_trial(&price, length, "create_invoice");
        subscription.payment_method = Some(self.id("pm"));
        subscription.metadata = session.cart.metadata.clone();
        invoice.metadata = session.cart.metadata.clone();
        self.begin_unpaid(&mut subscription, &mut invoice);
        self.complete_subscription(session, (subscription.id, invoice.id), "no_payment_required");
    }

    fn complete_subscription(
        &mut self,
        session: &mut Session,
        (subscription, invoice): (String, String),
        payment_status: &'static str,
    ) {
        self.by_itself();
        session.purchase = Purchase::Subscription {
            subscription: Some(subscription),
            invoice: Some(invoice),
        };
        session.status = "complete";
        session.payment_status = payment_status;
        self.emit("checkout.session.completed", &*session);
    }

    /// The card is declined; the session stays open. As since 2025-03-31.basil, an attempt leaves neither a
    /// subscription nor an invoice, in both versions.
    pub(crate) fn decline_session(&mut self, session: &mut Session, declined: Option<PaymentIntent>) {
        self.by_api();
        let mut intent = declined.unwrap_or_else(|| self.intent_of(session, Method::Card));
        self.decline(&mut intent);
        session.cart.declined = Some(intent.id);
        self.keep(&*session);
    }

    /// A bank debit is ordered: complete now, paid (or not) in some days.
    pub(crate) fn debit_session(&mut self, mut session: Session) -> Session {
        self.by_api();
        self.greet(&mut session);
        session.method = Method::UsBankAccount;
        let intent = self.intent_of(&session, Method::UsBankAccount);
        self.order_debit(session, intent).session
    }

    /// Nobody can pay any more.
    pub(crate) fn expire_session(&mut self, session: &mut Session, by_request: bool) {
        if by_request {
            self.by_api();
        } else {
            self.by_itself();
        }
        session.status = "expired";
        self.emit("checkout.session.expired", &*session);
    }

    fn intent_of(&mut self, session: &Session, method: Method) -> PaymentIntent {
        let metadata = match (&session.purchase, &session.cart.metadata) {
            (Purchase::Payment { .. }, Value::Object(metadata)) => json!(metadata),
            _ => json!({}),
        };
        let intent = self.new_intent(session.amount, &session.currency, None, metadata, method);
        if matches!(session.purchase, Purchase::Payment { .. }) {
            self.emit("payment_intent.created", &intent);
        }
        intent
    }
}
