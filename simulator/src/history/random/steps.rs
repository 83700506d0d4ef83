//! The table of steps.

use super::{
    Payment, Person, Walk,
    conditions::{
        can_downgrade, can_upgrade, has, has_begun, has_none, has_one, is_behind, is_customer, is_paused,
        is_settled, is_stranger, is_trial_with_card, is_unpaid, pays, runs_on, will_end,
    },
};

/// Something that can happen.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// How likely it is, relative to the others that are possible.
    pub(super) weight: u64,
    /// It takes no longer, in days.
    pub(super) days: i64,
    pub(super) may: fn(&Walk<'_>) -> bool,
    pub(super) go: fn(&mut Walk<'_>),
}

const fn step(
    name: &'static str,
    weight: u64,
    days: i64,
    may: fn(&Walk<'_>) -> bool,
    go: fn(&mut Walk<'_>),
) -> Step {
    Step {
        name,
        weight,
        days,
        may,
        go,
    }
}

/// The step that needs [`super::Options::long_invoices`].
pub const WAVERS: &str = "wavers_between_plans";

/// What happens by decision; [`DUE`] names what happens by itself.
pub(super) const STEPS: &[Step] = &[
    step("register", 60, 1, is_stranger, |w| w.register()),
    step(
        "register_again",
        4,
        1,
        |w| w.person == Person::Deleted,
        |w| w.register_again(),
    ),
    step(
        "change_email",
        3,
        1,
        |w| w.person == Person::Customer,
        |w| w.h.change_email(),
    ),
    step("change_entitlements", 3, 0, is_customer, |w| {
        w.change_entitlements()
    }),
    step("delete_customer", 1, 3, is_settled, |w| w.delete_customer()),
    step("unknown_event", 2, 0, |_| true, |w| w.h.announce_unknown()),
    step(
        "switch_version",
        12,
        1,
        |w| w.may_switch(),
        |w| w.switch_version(),
    ),
    step("subscribe", 34, 1, has_none, |w| w.subscribe()),
    step("subscribe_twice", 2, 1, has_one, |w| w.subscribe()),
    step("start_trial", 18, 1, has_none, |w| w.start_trial()),
    step("subscribe_with_coupon", 7, 1, has_none, |w| {
        w.subscribe_with_coupon()
    }),
    step("incomplete_declined", 5, 1, has_none, |w| {
        w.begin_incomplete(false)
    }),
    step("incomplete_needs_action", 5, 1, has_none, |w| {
        w.begin_incomplete(true)
    }),
    step("wait", 45, 0, |w| w.next_due().is_some(), |w| w.let_time_pass()),
    step(
        "cut_trial_short",
        14,
        1,
        |w| has(w, is_trial_with_card),
        |w| w.cut_trial_short(),
    ),
    step("upgrade", 10, 4, |w| has(w, can_upgrade), |w| w.upgrade(true)),
    step(
        "upgrade_declined",
        7,
        4,
        |w| has(w, can_upgrade),
        |w| w.upgrade(false),
    ),
    step(
        "pending_update_applied",
        3,
        2,
        |w| has(w, can_upgrade),
        |w| w.pend_update(true),
    ),
    step(
        "pending_update_expired",
        3,
        3,
        |w| has(w, can_upgrade),
        |w| w.pend_update(false),
    ),
    step(
        WAVERS,
        12,
        1,
        |w| w.long_invoices && has(w, can_upgrade),
        |w| w.waver(),
    ),
    step("downgrade", 4, 3, |w| has(w, can_downgrade), |w| w.downgrade()),
    step(
        "schedule_cancel",
        5,
        6,
        |w| has(w, runs_on),
        |w| w.schedule_cancel(),
    ),
    step(
        "cancel_at_date",
        3,
        3,
        |w| has(w, runs_on),
        |w| w.cancel_at_date(),
    ),
    step("undo_cancel", 14, 2, |w| has(w, will_end), |w| w.undo_cancel()),
    step("cancel_now", 4, 2, |w| has(w, has_begun), |w| w.cancel_now()),
    step("resume", 25, 5, |w| has(w, is_paused), |w| w.resume()),
    step(
        "pay_open_invoice",
        16,
        1,
        |w| has(w, is_unpaid),
        |w| w.pay_open_invoice(),
    ),
    step(
        "void_open_invoice",
        10,
        1,
        |w| has(w, is_behind),
        |w| w.void_open_invoice(),
    ),
    step(
        "write_off_open_invoice",
        10,
        1,
        |w| has(w, is_behind),
        |w| w.write_off_open_invoice(),
    ),
    step(
        "pay_out_of_band",
        10,
        1,
        |w| has(w, is_behind),
        |w| w.pay_out_of_band(),
    ),
    step(
        "invoice_in_trouble",
        3,
        8,
        |w| has(w, |held| held.it.status == "active"),
        |w| w.trouble(),
    ),
    step(
        "late_payment",
        20,
        3,
        |w| w.is_customer() && !w.stale.is_empty(),
        |w| w.pay_late(),
    ),
    step("late_void", 8, 3, |w| !w.stale.is_empty(), |w| w.void_late()),
    step(
        "late_write_off",
        10,
        3,
        |w| w.stale.iter().any(|it| it.invoice.status == "open"),
        |w| w.write_off_late(),
    ),
    step("top_up", 8, 2, is_customer, |w| w.top_up()),
    step("top_up_yen", 4, 2, is_customer, |w| w.top_up_yen()),
    step("top_up_as_guest", 3, 2, |_| true, |w| w.top_up_as_guest()),
    step("top_up_by_debit", 5, 1, is_customer, |w| w.begin_debit()),
    step(
        "debit_arrives",
        14,
        4,
        |w| !w.debits.is_empty(),
        |w| w.conclude_debit(true),
    ),
    step(
        "debit_fails",
        8,
        4,
        |w| !w.debits.is_empty(),
        |w| w.conclude_debit(false),
    ),
    step("checkout_abandoned", 2, 2, is_customer, |w| w.abandon_checkout()),
    step(
        "refund",
        11,
        2,
        |w| pays(w, Payment::is_refundable),
        |w| w.refund(),
    ),
    step(
        "refund_completed",
        12,
        1,
        |w| pays(w, Payment::has_pending_refund),
        |w| w.complete_refund(),
    ),
    step(
        "refund_failed",
        10,
        4,
        |w| pays(w, Payment::has_refund),
        |w| w.fail_refund(),
    ),
    step(
        "dispute",
        5,
        5,
        |w| pays(w, Payment::is_disputable),
        |w| w.dispute(false),
    ),
    step(
        "inquiry",
        3,
        5,
        |w| pays(w, Payment::is_disputable),
        |w| w.dispute(true),
    ),
    step(
        "dispute_answered",
        20,
        5,
        |w| pays(w, Payment::needs_response),
        |w| w.answer(),
    ),
    step(
        "inquiry_escalates",
        14,
        5,
        |w| pays(w, Payment::is_inquiry),
        |w| w.escalate(),
    ),
    step(
        "inquiry_closed",
        14,
        25,
        |w| pays(w, Payment::is_inquiry),
        |w| w.close_inquiry(),
    ),
    step(
        "dispute_won",
        30,
        25,
        |w| pays(w, Payment::is_under_review),
        |w| w.close("won"),
    ),
    step(
        "dispute_lost",
        15,
        25,
        |w| pays(w, Payment::is_chargeback),
        |w| w.close("lost"),
    ),
];

/// What happens by itself when its time comes.
const DUE: &[&str] = &[
    "incomplete_expired",
    "trial_will_end",
    "trial_pauses",
    "trial_ends_without_card",
    "renewed",
    "renewal_declined",
    "renewal_needs_action",
    "scheduled_end",
    "retry_succeeds",
    "retry_declined",
    "goes_unpaid",
    "payment_exhausted",
    "resubscribe",
];

/// The names of everything that can happen in a random life, as in [`crate::history::Life::steps`].
pub fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name).chain(DUE.iter().copied())
}
