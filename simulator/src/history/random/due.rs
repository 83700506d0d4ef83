//! What happens to subscriptions by itself when its time comes.

use super::{Held, Unpaid, Walk};
use crate::objects::{invoice::Invoice, payment_intent::PaymentIntent};

/// After this many attempts the shop's rules decide.
const ATTEMPTS_MAX: u32 = 4;

/// How an attempt to have an invoice paid ends.
#[derive(Clone, Copy)]
enum Attempt {
    Succeeds,
    Declined,
    NeedsAction,
}

impl Walk<'_> {
    /// Whatever is due next for the subscription at `place`.
    pub(super) fn fall_due(&mut self, place: usize) {
        let mut held = self.subs.swap_remove(place);
        let due = held.due().unwrap_or(self.h.clock);
        let alive = match held.it.status {
            "incomplete" => self.expire(&mut held, due),
            _ if held.it.cancel_at.is_some_and(|at| at <= due) => self.end_as_planned(&mut held),
            "trialing" => self.trial_is_due(&mut held),
            "past_due" => self.retry(&mut held, due),
            _ => self.renew(&mut held),
        };
        if alive {
            self.subs.push(held);
        } else {
            self.bury(held);
        }
    }

    fn expire(&mut self, held: &mut Held, due: i64) -> bool {
        self.note("incomplete_expired");
        self.h.until(due);
        if let Some(Unpaid {
            mut invoice,
            mut intent,
            ..
        }) = held.unpaid.take()
        {
            self.h.expire_incomplete(&mut held.it, &mut invoice, &mut intent);
        }
        false
    }

    fn end_as_planned(&mut self, held: &mut Held) -> bool {
        self.note("scheduled_end");
        self.h.by_itself();
        self.h.until(held.it.cancel_at.unwrap_or(self.h.clock));
        self.h.end(&mut held.it, "cancellation_requested");
        false
    }

    fn trial_is_due(&mut self, held: &mut Held) -> bool {
        if !held.warned {
            self.note("trial_will_end");
            self.h.warn_of_trial_end(&held.it);
            held.warned = true;
            return true;
        }
        match held.it.missing_payment_method {
            "pause" => {
                self.note("trial_pauses");
                self.h.pause_at_trial_end(&mut held.it);
                true
            }
            "cancel" => {
                self.note("trial_ends_without_card");
                self.h.reach_end(&mut held.it);
                false
            }
            _ => self.renew(held),
        }
    }

    /// The next period begins, and the attempt to have it paid ends one way or another.
    fn renew(&mut self, held: &mut Held) -> bool {
        let attempts = [
            Attempt::Succeeds,
            Attempt::Succeeds,
            Attempt::Succeeds,
            Attempt::Declined,
            Attempt::Declined,
            Attempt::NeedsAction,
        ];
        let attempt = *self.h.mint.dice.pick(&attempts);
        self.note(match attempt {
            Attempt::Succeeds => "renewed",
            Attempt::Declined => "renewal_declined",
            Attempt::NeedsAction => "renewal_needs_action",
        });
        let (invoice, intent) = self.h.roll_over(&mut held.it);
        self.attempt(held, invoice, intent, attempt);
        true
    }

    fn attempt(&mut self, held: &mut Held, mut invoice: Invoice, mut intent: PaymentIntent, how: Attempt) {
        match how {
            Attempt::Succeeds => {
                let charge = self.h.succeed(&mut intent);
                self.h.settle(&mut invoice, Some(&charge));
                self.receive(charge);
                held.paid = Some(invoice);
                return;
            }
            Attempt::Declined => self.decline(&mut invoice, &mut intent),
            Attempt::NeedsAction => self.h.require_action(&mut invoice, &mut intent),
        }
        self.h.set_status(&mut held.it, "past_due");
        held.unpaid = Some(self.unpaid(invoice, intent));
    }

    /// Another attempt to have an open invoice paid.
    fn retry(&mut self, held: &mut Held, due: i64) -> bool {
        self.h.by_itself();
        self.h.until(due);
        let attempts = held
            .unpaid
            .as_ref()
            .map_or(0, |unpaid| unpaid.invoice.attempt_count);
        let last = attempts >= ATTEMPTS_MAX;
        match self.h.mint.dice.below(10) {
            0..4 if !last => {
                self.note("retry_succeeds");
                self.collect(held);
                true
            }
            4..7 if !last => {
                self.note("retry_declined");
                if let Some(mut unpaid) = held.unpaid.take() {
                    self.decline(&mut unpaid.invoice, &mut unpaid.intent);
                    held.unpaid = Some(self.unpaid(unpaid.invoice, unpaid.intent));
                }
                true
            }
            0..=8 => self.go_unpaid(held),
            _ => self.give_up(held),
        }
    }

    fn decline_for_good(&mut self, held: &mut Held) {
        if let Some(unpaid) = &mut held.unpaid {
            self.h
                .decline_invoice(&mut unpaid.invoice, &mut unpaid.intent, None);
        }
    }

    fn go_unpaid(&mut self, held: &mut Held) -> bool {
        self.note("goes_unpaid");
        self.decline_for_good(held);
        self.h.set_status(&mut held.it, "unpaid");
        true
    }

    /// The last attempt fails too: the subscription ends, and the invoice may be written off.
    fn give_up(&mut self, held: &mut Held) -> bool {
        self.note("payment_exhausted");
        self.decline_for_good(held);
        if let Some(unpaid) = &mut held.unpaid
            && self.h.mint.dice.chance(0.5)
        {
            self.h.write_off(&mut unpaid.invoice);
        }
        self.h.end(&mut held.it, "payment_failed");
        false
    }
}
