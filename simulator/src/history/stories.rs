//! The stories: which things happen to one customer, one after another.

use super::{DAY, History};

/// One kind of life.
#[derive(Debug)]
pub struct Story {
    /// What happens, in a few words.
    pub name: &'static str,
    /// No telling takes longer, in days.
    pub(super) days: i64,
    /// How often it occurs among customers, relative to the others.
    pub weight: usize,
    pub(super) tell: fn(&mut History<'_>),
}

impl Story {
    const fn new(name: &'static str, days: i64, weight: usize, tell: fn(&mut History<'_>)) -> Self {
        Self {
            name,
            days,
            weight,
            tell,
        }
    }

    /// The story of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        STORIES.iter().find(|story| story.name == name)
    }
}

/// Every story we know. Together they contain every projected type, in both versions where it exists.
pub const STORIES: &[Story] = &[
    Story::new("subscriber", 62, 6, subscriber),
    Story::new("trial_converts", 16, 3, trial_converts),
    Story::new("coupon_for_the_first_month", 32, 1, coupon),
    Story::new("trial_pauses_and_resumes", 21, 1, trial_pauses),
    Story::new("payment_recovers", 36, 3, payment_recovers),
    Story::new("payment_exhausted", 46, 1, payment_exhausted),
    Story::new("payment_unpaid_and_voided", 42, 1, payment_unpaid),
    Story::new("bank_asks_for_action", 33, 1, bank_asks),
    Story::new("upgrade", 17, 2, upgrade),
    Story::new("pending_update_applied", 5, 1, |history| pending(history, true)),
    Story::new("pending_update_expired", 6, 1, |history| pending(history, false)),
    Story::new("cancel_at_period_end", 32, 2, cancels),
    Story::new("cancel_undone", 10, 1, cancel_undone),
    Story::new("customer_deleted", 6, 1, customer_deleted),
    Story::new("never_starts", 2, 1, never_starts),
    Story::new("top_up", 2, 6, top_up),
    Story::new("top_up_yen", 2, 1, top_up_yen),
    Story::new("top_up_by_bank_debit", 7, 1, |history| bank_debit(history, true)),
    Story::new("top_up_by_bank_debit_fails", 7, 1, |history| {
        bank_debit(history, false)
    }),
    Story::new("checkout_abandoned", 3, 1, checkout_abandoned),
    Story::new("refund_full", 5, 2, refund_full),
    Story::new("refund_partial_twice", 8, 1, refund_partial_twice),
    Story::new("refund_fails", 13, 1, refund_fails),
    Story::new("refund_subscription", 6, 1, refund_subscription),
    Story::new("dispute_won", 45, 1, |history| dispute(history, "won")),
    Story::new("dispute_lost", 45, 1, |history| dispute(history, "lost")),
    Story::new("inquiry", 45, 1, |history| dispute(history, "warning_closed")),
    Story::new("product_withdrawn", 3, 1, |history| history.try_product()),
    Story::new("invoice_in_trouble", 9, 1, invoice_in_trouble),
];

fn subscriber(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    history.entitle();
    history.change_email();
    history.renew(&mut subscription);
    history.renew(&mut subscription);
}

fn trial_converts(history: &mut History<'_>) {
    history.register();
    let team = history.catalogue.team.clone();
    let mut subscription = history.start_trial(&team, "create_invoice");
    history.entitle();
    history.warn_of_trial_end(&subscription);
    history.renew(&mut subscription);
}

fn coupon(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let mut subscription = history.subscribe_with_coupon(&pro);
    history.renew(&mut subscription);
}

fn trial_pauses(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let mut subscription = history.start_trial(&pro, "pause");
    history.warn_of_trial_end(&subscription);
    history.pause_at_trial_end(&mut subscription);
    history.resume(&mut subscription);
}

fn payment_recovers(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    let (mut invoice, mut intent) = history.roll_over(&mut subscription);
    history.decline_invoice(&mut invoice, &mut intent, Some(3 * DAY));
    history.set_status(&mut subscription, "past_due");
    history.clock += 3 * DAY;
    history.recover(&mut subscription, &mut invoice, &mut intent);
}

fn payment_exhausted(history: &mut History<'_>) {
    history.register();
    let team = history.catalogue.team.clone();
    let (mut subscription, ..) = history.subscribe(&team);
    let (mut invoice, mut intent) = history.roll_over(&mut subscription);
    history.decline_invoice(&mut invoice, &mut intent, Some(3 * DAY));
    history.set_status(&mut subscription, "past_due");
    for (wait, next) in [(3, Some(5)), (5, Some(5)), (5, None)] {
        history.clock += wait * DAY;
        history.decline_invoice(&mut invoice, &mut intent, next.map(|days| days * DAY));
    }
    history.write_off(&mut invoice);
    history.end(&mut subscription, "payment_failed");
}

fn payment_unpaid(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    let (mut invoice, mut intent) = history.roll_over(&mut subscription);
    history.decline_invoice(&mut invoice, &mut intent, Some(3 * DAY));
    history.set_status(&mut subscription, "past_due");
    history.clock += 3 * DAY;
    history.decline_invoice(&mut invoice, &mut intent, None);
    history.set_status(&mut subscription, "unpaid");
    history.by_api();
    history.pass(DAY, 5 * DAY);
    history.void(&mut invoice, &mut intent);
    history.set_status(&mut subscription, "active");
}

fn bank_asks(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    let (mut invoice, mut intent) = history.roll_over(&mut subscription);
    history.require_action(&mut invoice, &mut intent);
    history.set_status(&mut subscription, "past_due");
    history.by_api();
    history.pass(3600, DAY);
    history.recover(&mut subscription, &mut invoice, &mut intent);
}

fn upgrade(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, invoice, _) = history.subscribe(&pro);
    history.upgrade(&mut subscription, &invoice);
}

fn pending(history: &mut History<'_>, succeeds: bool) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    history.pend_update(&mut subscription, succeeds);
}

fn cancels(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    history.schedule_cancel(&mut subscription);
    history.reach_end(&mut subscription);
}

fn cancel_undone(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    history.schedule_cancel(&mut subscription);
    history.undo_cancel(&mut subscription);
}

fn customer_deleted(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, ..) = history.subscribe(&pro);
    history.change_email();
    history.delete_customer([&mut subscription]);
}

fn never_starts(history: &mut History<'_>) {
    history.register();
    history.never_start();
}

fn top_up(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up.clone();
    history.top_up(&price);
    history.pass(600, DAY);
    history.top_up(&price);
}

fn top_up_yen(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up_jpy.clone();
    history.top_up(&price);
}

fn bank_debit(history: &mut History<'_>, arrives: bool) {
    history.register();
    let price = history.catalogue.top_up.clone();
    history.top_up_delayed(&price, arrives);
}

fn checkout_abandoned(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up.clone();
    history.abandon_checkout(&price);
}

fn refund_full(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up.clone();
    let mut charge = history.top_up(&price);
    history.pass(3600, 2 * DAY);
    let mut refund = history.refund(&mut charge, price.unit_amount);
    history.complete_refund(&mut refund);
}

fn refund_partial_twice(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up.clone();
    let mut charge = history.top_up(&price);
    for amount in [400, 350] {
        history.pass(3600, 2 * DAY);
        let mut refund = history.refund(&mut charge, amount);
        history.complete_refund(&mut refund);
    }
}

fn refund_fails(history: &mut History<'_>) {
    history.register();
    let price = history.catalogue.top_up.clone();
    let mut charge = history.top_up_delayed(&price, true);
    history.pass(3600, 2 * DAY);
    let mut refund = history.refund(&mut charge, price.unit_amount);
    history.fail_refund(&mut charge, &mut refund);
}

fn refund_subscription(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (mut subscription, _, mut charge) = history.subscribe(&pro);
    history.pass(3600, 2 * DAY);
    let mut refund = history.refund(&mut charge, pro.unit_amount);
    history.end(&mut subscription, "cancellation_requested");
    history.complete_refund(&mut refund);
}

fn dispute(history: &mut History<'_>, outcome: &'static str) {
    history.register();
    let price = history.catalogue.top_up.clone();
    let mut charge = history.top_up(&price);
    history.pass(3 * DAY, 12 * DAY);
    let mut dispute = history.open_dispute(&mut charge, price.unit_amount, outcome == "warning_closed");
    history.answer_dispute(&mut dispute);
    history.close_dispute(&mut dispute, outcome);
}

fn invoice_in_trouble(history: &mut History<'_>) {
    history.register();
    let pro = history.catalogue.pro.clone();
    let (subscription, ..) = history.subscribe(&pro);
    history.trouble(&subscription);
}
