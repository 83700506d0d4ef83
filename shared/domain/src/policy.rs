//! What is ours to choose where Stripe's behaviour leaves a choice. The defaults are those of the scenarios.

/// The choices of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether a `past_due` subscription still entitles, while Stripe retries the payment.
    pub past_due: PastDue,
    /// What a change of plan within a period grants.
    pub upgrade: Upgrade,
    /// What a user may do whose credits were refunded or disputed after they were spent.
    pub negative_balance: NegativeBalance,
    /// How long a canceled subscription stays `canceled` before it is `expired`, seconds.
    pub expire_grace_seconds: i64,
    /// Whether it stays so at least until the end of what was paid for.
    pub honour_paid_time: bool,
    /// Credits an account's users and teams may hold together before no free ones are given; `None` without a limit.
    pub outstanding_max: Option<i64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            past_due: PastDue::Grace,
            upgrade: Upgrade::Proration,
            negative_balance: NegativeBalance::Block,
            expire_grace_seconds: 0,
            honour_paid_time: true,
            outstanding_max: None,
        }
    }
}

/// See [`Policy::past_due`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastDue {
    /// It entitles as before.
    Grace,
    /// It does not entitle.
    Stop,
}

/// See [`Policy::upgrade`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// Credits follow the money of the proration lines.
    Proration,
    /// Nothing; the next full period does.
    Nothing,
}

/// See [`Policy::negative_balance`]. Whatever is chosen, spending never takes a balance below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegativeBalance {
    /// No credits are used until the balance is made up for.
    Block,
    /// What an entitling subscription includes may be used all the same.
    Tolerate,
}
