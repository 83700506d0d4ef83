//! What an installation says about selling: where browsers go, and what a top-up costs.

use shared::config::{Reader, Setting};

use crate::problem::{Kind, Problem};

const SUCCESS_URL: &str = "TOLLGATE_API_SUCCESS_URL";
const CANCEL_URL: &str = "TOLLGATE_API_CANCEL_URL";
const PORTAL_RETURN_URL: &str = "TOLLGATE_API_PORTAL_RETURN_URL";
const TOPUP_CREDITS: &str = "TOLLGATE_API_TOPUP_CREDITS_PER_100";
const TOPUP_CURRENCY: &str = "TOLLGATE_API_TOPUP_CURRENCY";
const TOPUP_MIN: &str = "TOLLGATE_API_TOPUP_MIN";
const TOPUP_MAX: &str = "TOLLGATE_API_TOPUP_MAX";
/// Stripe's own limit, minor units.
/// Source: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
const AMOUNT_MAX: u64 = 99_999_999;

/// The settings.
pub(crate) const SETTINGS: [Setting; 7] = [
    Setting {
        name: SUCCESS_URL,
        default: "none",
        about: "where a browser goes after paying; Stripe puts the session's id in the place of \
                `{CHECKOUT_SESSION_ID}`. Without it and the next there are no checkouts",
    },
    Setting {
        name: CANCEL_URL,
        default: "none",
        about: "where a browser goes that left without paying",
    },
    Setting {
        name: PORTAL_RETURN_URL,
        default: "none",
        about: "where a browser goes from the customer portal; without it there is none",
    },
    Setting {
        name: TOPUP_CREDITS,
        default: "0",
        about: "credits for 100 minor units of a top-up of any amount, rounded down; 0 is no such top-ups",
    },
    Setting {
        name: TOPUP_CURRENCY,
        default: "usd",
        about: "currency of top-ups, three small letters",
    },
    Setting {
        name: TOPUP_MIN,
        default: "500",
        about: "least amount of a top-up, minor units",
    },
    Setting {
        name: TOPUP_MAX,
        default: "100000",
        about: "largest amount of a top-up, minor units, up to 99999999",
    },
];

/// What is said about selling.
#[derive(Debug, Clone)]
pub(crate) struct Sales {
    success_url: Option<String>,
    cancel_url: Option<String>,
    portal_return_url: Option<String>,
    topup: TopUps,
}

/// Top-ups of any amount.
#[derive(Debug, Clone)]
struct TopUps {
    /// For 100 minor units; 0: there are none.
    credits: i64,
    currency: String,
    min: i64,
    max: i64,
}

/// A top-up that is fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopUp {
    /// Minor units.
    pub amount: i64,
    /// Of what.
    pub currency: String,
    /// What it grants.
    pub credits: i64,
}

impl Sales {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let number = |reader: &mut Reader<'_>, name, default| {
            i64::try_from(reader.number(name, default, 1, AMOUNT_MAX)).unwrap_or(i64::MAX)
        };
        let topup = TopUps {
            credits: i64::try_from(reader.number(TOPUP_CREDITS, 0, 0, AMOUNT_MAX)).unwrap_or(0),
            currency: reader.or(TOPUP_CURRENCY, "usd".to_owned()),
            min: number(reader, TOPUP_MIN, 500),
            max: number(reader, TOPUP_MAX, 100_000),
        };
        if topup.currency.len() != 3 || !topup.currency.bytes().all(|letter| letter.is_ascii_lowercase()) {
            reader.problem(format!("{TOPUP_CURRENCY}: three small letters, such as usd"));
        }
        if topup.min > topup.max {
            reader.problem(format!("{TOPUP_MIN} is more than {TOPUP_MAX}"));
        }
        Self {
            success_url: url(reader, SUCCESS_URL),
            cancel_url: url(reader, CANCEL_URL),
            portal_return_url: url(reader, PORTAL_RETURN_URL),
            topup,
        }
    }

    /// Where a browser goes after paying.
    pub(crate) fn success_url(&self) -> Result<&str, Problem> {
        required(self.success_url.as_deref(), SUCCESS_URL)
    }

    /// Where a browser goes that left without paying.
    pub(crate) fn cancel_url(&self) -> Result<&str, Problem> {
        required(self.cancel_url.as_deref(), CANCEL_URL)
    }

    /// Where a browser goes from the portal.
    pub(crate) fn portal_return_url(&self) -> Result<&str, Problem> {
        required(self.portal_return_url.as_deref(), PORTAL_RETURN_URL)
    }

    /// What a top-up of an amount comes to.
    pub(crate) fn topup(&self, amount: i64) -> Result<TopUp, Problem> {
        let TopUps {
            credits,
            currency,
            min,
            max,
        } = &self.topup;
        if *credits == 0 {
            return Err(Kind::UNKNOWN_OFFER.because("there are no top-ups of any amount; name a package"));
        }
        let worth = amount.saturating_mul(*credits) / 100;
        if !(*min..=*max).contains(&amount) || worth < 1 {
            return Err(Kind::TOPUP_RANGE
                .because(format!("amount: {min} to {max} minor units of {currency}"))
                .with("min", *min)
                .with("max", *max));
        }
        Ok(TopUp {
            amount,
            currency: currency.clone(),
            credits: worth,
        })
    }
}

fn url(reader: &mut Reader<'_>, name: &str) -> Option<String> {
    let url: Option<String> = reader.optional(name);
    if let Some(url) = &url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        reader.problem(format!("{name}: an address that begins with https:// or http://"));
    }
    url
}

fn required<'a>(url: Option<&'a str>, name: &str) -> Result<&'a str, Problem> {
    url.ok_or_else(|| Kind::NOT_CONFIGURED.because(format!("{name} is not set")))
}

#[cfg(test)]
mod tests {
    use shared::config::Env;

    use super::*;

    fn sales(more: &[(&str, &str)]) -> Sales {
        let env: Env = more.iter().copied().collect();
        let mut reader = Reader::new(&env);
        let sales = Sales::read(&mut reader);
        reader.finish(sales).expect("usable settings")
    }

    #[test]
    fn a_top_up_is_within_limits_and_worth_something() {
        let some = sales(&[(TOPUP_CREDITS, "66"), (TOPUP_MIN, "100"), (TOPUP_MAX, "1000")]);
        let worth = |amount| {
            some.topup(amount)
                .map(|topup| topup.credits)
                .map_err(|problem| problem.code)
        };
        assert_eq!((worth(100), worth(101), worth(1000)), (Ok(66), Ok(66), Ok(660)));
        for amount in [99, 1001, 0, -100, i64::MAX, i64::MIN] {
            assert_eq!(worth(amount), Err("topup_out_of_range"), "{amount}");
        }
        let none = sales(&[]).topup(1000).expect_err("none are sold");
        assert_eq!(none.code, "unknown_offer");
        let cheap = sales(&[(TOPUP_CREDITS, "1"), (TOPUP_MIN, "1")]);
        assert_eq!(
            cheap.topup(99).expect_err("no credits").code,
            "topup_out_of_range"
        );
    }
}
