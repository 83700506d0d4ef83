//! What operators say about comparing with Stripe.

use std::time::Duration;

use shared::config::{Reader, Setting};

const RECONCILE: &str = "TOLLGATE_RECONCILE";
const EVERY: &str = "TOLLGATE_RECONCILE_SECONDS";
const GRACE: &str = "TOLLGATE_RECONCILE_GRACE_SECONDS";
const SILENCE: &str = "TOLLGATE_RECONCILE_SILENCE_SECONDS";
const OBJECTS: &str = "TOLLGATE_RECONCILE_OBJECTS";
const ACCOUNTS: &str = "TOLLGATE_RECONCILE_ACCOUNTS";
const STRIPE_ACCOUNT: &str = "TOLLGATE_STRIPE_ACCOUNT";
const ENDPOINT: &str = "TOLLGATE_STRIPE_ENDPOINT";

/// Between rounds, and before the first, seconds.
const EVERY_SECONDS: u64 = 60;
/// In which Stripe delivers nearly everything, seconds.
const GRACE_SECONDS: u64 = 120;
/// Of events that did not arrive, until that is a silence, seconds.
const SILENCE_SECONDS: u64 = 600;
/// Objects compared with Stripe's between two looks at the list: less than one a second.
const SAMPLE: u64 = 40;
/// Most of them.
const SAMPLE_MAX: u64 = 1_000;
/// Longest of each: an hour.
const SECONDS_MAX: u64 = 3_600;
/// Most connected accounts that are compared: each takes some requests a round.
const ACCOUNTS_MAX: usize = 64;

pub(crate) const RECONCILE_SETTING: Setting = Setting {
    name: RECONCILE,
    default: "repair",
    about: "what is done about events that Stripe has and we have not: `repair`, `report` (found and not filled in), `off`; needs STRIPE_API_KEY",
};
pub(crate) const EVERY_SETTING: Setting = Setting {
    name: EVERY,
    default: "60",
    about: "seconds between two looks at Stripe's list of events, 1 to 3600; the first comes as long after the start",
};
pub(crate) const GRACE_SETTING: Setting = Setting {
    name: GRACE,
    default: "120",
    about: "seconds that Stripe may take to deliver an event before it counts as missing, 0 to 3600",
};
pub(crate) const SILENCE_SETTING: Setting = Setting {
    name: SILENCE,
    default: "600",
    about: "seconds of events of which none arrived, after which that is an alarm, 1 to 3600",
};
pub(crate) const OBJECTS_SETTING: Setting = Setting {
    name: OBJECTS,
    default: "40",
    about: "objects that are compared with Stripe's in each TOLLGATE_RECONCILE_SECONDS, 0 to 1000: of each kind one at least, and none at all with 0",
};
pub(crate) const ACCOUNTS_SETTING: Setting = Setting {
    name: ACCOUNTS,
    default: "none",
    about: "connected accounts (`acct_...`, separated by commas) that are compared beside the platform's own",
};
pub(crate) const STRIPE_ACCOUNT_SETTING: Setting = Setting {
    name: STRIPE_ACCOUNT,
    default: "the first seen",
    about: "the account (`acct_...`) whose key STRIPE_API_KEY must be; another's events are never filled in",
};
pub(crate) const ENDPOINT_SETTING: Setting = Setting {
    name: ENDPOINT,
    default: "any with /webhooks/stripe",
    about: "our webhook endpoint at Stripe, by id (`we_...`) or by its address",
};

/// What is done about events that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// They are filled in.
    Repair,
    /// They are found, and nothing else.
    Report,
    /// They are not looked for.
    Off,
}

/// How Stripe's list is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// `TOLLGATE_RECONCILE`.
    pub deed: Deed,
    /// `TOLLGATE_RECONCILE_SECONDS`.
    pub every: Duration,
    /// `TOLLGATE_RECONCILE_GRACE_SECONDS`.
    pub grace: i64,
    /// `TOLLGATE_RECONCILE_SILENCE_SECONDS`.
    pub silence: i64,
    /// `TOLLGATE_RECONCILE_OBJECTS`.
    pub sample: u32,
    /// Empty for the platform, and `TOLLGATE_RECONCILE_ACCOUNTS`.
    pub accounts: Vec<String>,
    /// `TOLLGATE_STRIPE_ACCOUNT`.
    pub stripe_account: Option<String>,
    /// `TOLLGATE_STRIPE_ENDPOINT`.
    pub endpoint: Option<String>,
}

impl ReconcileSettings {
    /// Reads them.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let words = [
            ("repair", Deed::Repair),
            ("report", Deed::Report),
            ("off", Deed::Off),
        ];
        let mut seconds = |name, usual, least| {
            let seconds = reader.number(name, usual, least, SECONDS_MAX);
            i64::try_from(seconds).unwrap_or(i64::MAX)
        };
        let every = seconds(EVERY, EVERY_SECONDS, 1).unsigned_abs();
        let (grace, silence) = (
            seconds(GRACE, GRACE_SECONDS, 0),
            seconds(SILENCE, SILENCE_SECONDS, 1),
        );
        let sample = reader.number(OBJECTS, SAMPLE, 0, SAMPLE_MAX);
        let own = [RECONCILE, EVERY, GRACE, SILENCE, OBJECTS, ACCOUNTS];
        reader.refuse_unknown(RECONCILE, &own);
        Self {
            deed: reader.choice(RECONCILE, &words),
            every: Duration::from_secs(every),
            grace,
            silence,
            sample: u32::try_from(sample).unwrap_or(u32::MAX),
            accounts: accounts(reader),
            stripe_account: account(reader),
            endpoint: reader.env().get(ENDPOINT).map(str::to_owned),
        }
    }

    /// Whether anything is compared.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.deed != Deed::Off
    }

    /// Whether objects are compared, too.
    #[must_use]
    pub fn is_sampling(&self) -> bool {
        self.is_on() && self.sample > 0
    }
}

fn accounts(reader: &mut Reader<'_>) -> Vec<String> {
    let listed = reader.env().get(ACCOUNTS).unwrap_or_default();
    let connected: Vec<&str> = listed
        .split(',')
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    if connected.len() > ACCOUNTS_MAX || !connected.iter().all(|it| is_account(it)) {
        reader.problem(format!(
            "{ACCOUNTS}: up to {ACCOUNTS_MAX} connected accounts, acct_..., separated by commas"
        ));
    }
    let platform = [String::new()].into_iter();
    platform.chain(connected.into_iter().map(str::to_owned)).collect()
}

fn account(reader: &mut Reader<'_>) -> Option<String> {
    let named = reader.env().get(STRIPE_ACCOUNT).map(str::to_owned);
    if named.as_deref().is_some_and(|named| !is_account(named)) {
        reader.problem(format!("{STRIPE_ACCOUNT}: not an account, acct_..."));
    }
    named
}

fn is_account(text: &str) -> bool {
    let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.strip_prefix("acct_").is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::config::Env;

    #[test]
    fn settings_are_read_and_mistakes_named() {
        let read = |pairs: &[(&str, &str)]| {
            let env: Env = pairs.iter().copied().collect();
            let mut reader = Reader::new(&env);
            let settings = ReconcileSettings::read(&mut reader);
            reader.finish(settings).map_err(|error| error.0.len())
        };
        let usual = read(&[]).expect("usable");
        assert_eq!((usual.deed, usual.accounts), (Deed::Repair, vec![String::new()]));
        let two = read(&[(ACCOUNTS, "acct_1, acct_2"), (RECONCILE, "report")]).expect("usable");
        assert_eq!((two.deed, two.accounts.len()), (Deed::Report, 3));
        let wrong = [
            (ACCOUNTS, "cus_1"),
            (STRIPE_ACCOUNT, "shop"),
            (RECONCILE, "maybe"),
            (EVERY, "0"),
            (OBJECTS, "1001"),
            ("TOLLGATE_RECONCILE_SECOND", "1"),
        ];
        assert_eq!(read(&wrong).err(), Some(6));
    }
}
