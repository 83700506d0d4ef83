//! Events that are news in themselves, whatever their object looks like by now.

/// Something worth telling, named so that twins and repetitions have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened, as the outbox calls it.
    pub kind: &'static str,
    /// Names the happening.
    pub key: String,
}

/// What an event's type says beside its object. `discriminator` tells repetitions about one object apart, such as
/// the number of a payment attempt.
#[must_use]
pub fn notice_of(event_type: &str, object_id: &str, discriminator: Option<i64>) -> Option<Notice> {
    let kind = match event_type {
        "invoice.payment_failed" => "payment.failed",
        "invoice.payment_action_required" => "payment.action_required",
        "customer.subscription.trial_will_end" => "trial.ending",
        "checkout.session.async_payment_failed" => "checkout.payment_failed",
        "checkout.session.expired" => "checkout.expired",
        "charge.dispute.created" => "dispute.opened",
        "charge.dispute.closed" => "dispute.closed",
        _ => return None,
    };
    let which = discriminator.map(|which| format!(":{which}")).unwrap_or_default();
    Some(Notice {
        kind,
        key: format!("{kind}:{object_id}{which}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_have_one_name_and_attempts_several() {
        let key = |attempt| notice_of("invoice.payment_failed", "in_1", attempt).map(|notice| notice.key);
        assert_eq!(key(Some(1)).as_deref(), Some("payment.failed:in_1:1"));
        assert_eq!(key(Some(1)), key(Some(1)));
        assert_ne!(key(Some(1)), key(Some(2)));
        assert_eq!(notice_of("invoice.paid", "in_1", None), None);
    }
}
