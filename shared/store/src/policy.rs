//! What an installation chose where Stripe leaves a choice, as settings. All roles that decide about money read the
//! same ones.

use domain::{NegativeBalance, PastDue, Policy, Upgrade};

use shared::config::{Reader, Setting};

/// Longest grace, seconds: 10 years.
const GRACE_MAX: u64 = 10 * 365 * 24 * 60 * 60;

/// `TOLLGATE_POLICY_PAST_DUE`.
pub const PAST_DUE: Setting = Setting {
    name: "TOLLGATE_POLICY_PAST_DUE",
    default: "grace",
    about: "whether a past_due subscription still entitles: `grace` or `stop`",
};
/// `TOLLGATE_POLICY_UPGRADE_CREDITS`.
pub const UPGRADE: Setting = Setting {
    name: "TOLLGATE_POLICY_UPGRADE_CREDITS",
    default: "proration",
    about: "credits for a change of plan within a period: `proration` (in proportion to the money) or `nothing`",
};
/// `TOLLGATE_POLICY_NEGATIVE_BALANCE`.
pub const NEGATIVE_BALANCE: Setting = Setting {
    name: "TOLLGATE_POLICY_NEGATIVE_BALANCE",
    default: "block",
    about: "a balance below zero after a refund: `block` the use of credits, or `tolerate` it for who is entitled",
};
/// `TOLLGATE_POLICY_EXPIRE_GRACE_SECONDS`.
pub const EXPIRE_GRACE: Setting = Setting {
    name: "TOLLGATE_POLICY_EXPIRE_GRACE_SECONDS",
    default: "0",
    about: "seconds after its end that a canceled subscription becomes expired",
};
/// `TOLLGATE_POLICY_HONOUR_PAID_TIME`.
pub const PAID_TIME: Setting = Setting {
    name: "TOLLGATE_POLICY_HONOUR_PAID_TIME",
    default: "true",
    about: "whether it does so only after the end of what was paid for: `true` or `false`",
};
/// `TOLLGATE_CREDITS_OUTSTANDING_MAX`.
pub const CREDITS_OUTSTANDING: Setting = Setting {
    name: "TOLLGATE_CREDITS_OUTSTANDING_MAX",
    default: "0",
    about: "credits that users and teams of an account may hold together before no free ones are given; 0 is no limit",
};
/// `TOLLGATE_CREDITS_LOW`.
pub const CREDITS_LOW: Setting = Setting {
    name: "TOLLGATE_CREDITS_LOW",
    default: "0",
    about: "tell `credits.low` in the outbox when a balance falls to so many credits or fewer; 0 is never",
};

/// Reads what an installation chose where Stripe leaves a choice.
pub fn read(reader: &mut Reader<'_>) -> Policy {
    let policy = Policy {
        past_due: reader.choice(
            PAST_DUE.name,
            &[("grace", PastDue::Grace), ("stop", PastDue::Stop)],
        ),
        upgrade: reader.choice(
            UPGRADE.name,
            &[("proration", Upgrade::Proration), ("nothing", Upgrade::Nothing)],
        ),
        negative_balance: reader.choice(
            NEGATIVE_BALANCE.name,
            &[
                ("block", NegativeBalance::Block),
                ("tolerate", NegativeBalance::Tolerate),
            ],
        ),
        expire_grace_seconds: signed(reader.number(EXPIRE_GRACE.name, 0, 0, GRACE_MAX)),
        honour_paid_time: reader.choice(PAID_TIME.name, &[("true", true), ("false", false)]),
        outstanding_max: Some(signed(reader.number(
            CREDITS_OUTSTANDING.name,
            0,
            0,
            u64::MAX >> 1,
        )))
        .filter(|most| *most > 0),
    };
    reader.refuse_unknown(
        "TOLLGATE_POLICY_",
        &[
            PAST_DUE.name,
            UPGRADE.name,
            NEGATIVE_BALANCE.name,
            EXPIRE_GRACE.name,
            PAID_TIME.name,
        ],
    );
    reader.refuse_unknown("TOLLGATE_CREDITS_", &[CREDITS_OUTSTANDING.name, CREDITS_LOW.name]);
    policy
}

/// Reads at which balance `credits.low` is told; 0 is never.
pub fn credits_low(reader: &mut Reader<'_>) -> i64 {
    signed(reader.number(CREDITS_LOW.name, 0, 0, u64::MAX >> 1))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
