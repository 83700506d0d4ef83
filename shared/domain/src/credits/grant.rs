//! What a payment grants.

use crate::{Policy, Upgrade};

/// What a price costs and grants, at the time in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Credits per unit.
    pub credits: i64,
    /// Minor units per unit; absent for fractions of them.
    pub unit_amount: Option<i64>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Minor units, before discounts; negative for what is given back.
    pub amount: i64,
    /// How many.
    pub quantity: i64,
    /// Whether it settles a change within a period.
    pub proration: bool,
    /// What it costs.
    pub price_id: Option<String>,
    /// What that means, when it is known.
    pub terms: Option<Terms>,
}

/// What decides how many credits are granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantBasis {
    /// An invoice that is paid.
    Invoice {
        /// Why it exists.
        billing_reason: String,
        /// What is billed.
        lines: Vec<Line>,
        /// Whether `lines` are all.
        complete: bool,
    },
    /// Credits that were bought, as our own checkout wrote them down; `None` when that cannot be read.
    TopUp(Option<i64>),
    /// It is not paid, or no longer counts.
    Nothing,
}

/// What keeps a grant from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nobody knows whose it is.
    UnknownOwner,
    /// A price was never seen, neither in an event nor in the catalogue file.
    UnknownPrice(String),
    /// A proration of a price without a whole unit amount.
    UnpricedProration(String),
    /// The event carried only the first lines.
    IncompleteLines,
    /// `metadata.credits` is no whole number above zero.
    BadCredits,
    /// More than a ledger holds.
    TooMany,
}

impl Problem {
    /// Every word.
    pub const WORDS: [&'static str; 6] = [
        "unknown_owner",
        "unknown_price",
        "unpriced_proration",
        "incomplete_lines",
        "bad_credits",
        "too_many_credits",
    ];

    /// The word in tables and metrics, one of [`Self::WORDS`].
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UnknownOwner => "unknown_owner",
            Self::UnknownPrice(_) => "unknown_price",
            Self::UnpricedProration(_) => "unpriced_proration",
            Self::IncompleteLines => "incomplete_lines",
            Self::BadCredits => "bad_credits",
            Self::TooMany => "too_many_credits",
        }
    }

    /// What it is about, if anything.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::UnknownPrice(price) | Self::UnpricedProration(price) => Some(price),
            _ => None,
        }
    }
}

impl GrantBasis {
    /// Credits granted; never below zero.
    ///
    /// # Errors
    /// [`Problem`], when that cannot be known.
    pub(super) fn credits(&self, policy: &Policy) -> Result<i64, Problem> {
        match self {
            Self::Nothing => Ok(0),
            Self::TopUp(credits) => credits.filter(|credits| *credits > 0).ok_or(Problem::BadCredits),
            Self::Invoice {
                billing_reason,
                lines,
                complete,
            } => {
                let of_line = match (billing_reason.as_str(), policy.upgrade) {
                    ("subscription_create" | "subscription_cycle", _) => of_period,
                    ("subscription_update", Upgrade::Proration) => of_proration,
                    _ => return Ok(0),
                };
                if !complete {
                    return Err(Problem::IncompleteLines);
                }
                sum(lines, of_line)
            }
        }
    }
}

/// Adds up fractions exactly, so that rounding happens once: over the common denominator of all lines.
fn sum(lines: &[Line], of_line: fn(&Line) -> Result<Fraction, Problem>) -> Result<i64, Problem> {
    let mut total = Fraction::ZERO;
    for line in lines {
        total = total.plus(of_line(line)?).ok_or(Problem::TooMany)?;
    }
    let floor = total.numerator.div_euclid(total.denominator).max(0);
    i64::try_from(floor).map_err(|_| Problem::TooMany)
}

/// A full period. The line's gross amount decides: a trial's is zero, a coupon's is not.
fn of_period(line: &Line) -> Result<Fraction, Problem> {
    if line.proration || line.amount <= 0 {
        return Ok(Fraction::ZERO);
    }
    let Some(terms) = terms_of(line)? else {
        return Ok(Fraction::ZERO);
    };
    Ok(Fraction {
        numerator: i128::from(terms.credits) * i128::from(line.quantity.max(0)),
        denominator: 1,
    })
}

/// A change within a period: credits in proportion to the money, in both directions.
fn of_proration(line: &Line) -> Result<Fraction, Problem> {
    if !line.proration || line.amount == 0 {
        return Ok(Fraction::ZERO);
    }
    let Some(terms) = terms_of(line)?.filter(|terms| terms.credits > 0) else {
        return Ok(Fraction::ZERO);
    };
    let Some(unit_amount) = terms.unit_amount.filter(|amount| *amount > 0) else {
        return Err(Problem::UnpricedProration(
            line.price_id.clone().unwrap_or_default(),
        ));
    };
    Ok(Fraction {
        numerator: i128::from(terms.credits) * i128::from(line.amount),
        denominator: i128::from(unit_amount),
    })
}

/// A line without a price grants nothing; one whose price nobody knows is a problem.
fn terms_of(line: &Line) -> Result<Option<Terms>, Problem> {
    match (&line.price_id, line.terms) {
        (None, _) => Ok(None),
        (Some(_), Some(terms)) => Ok(Some(terms)),
        (Some(price), None) => Err(Problem::UnknownPrice(price.clone())),
    }
}

#[derive(Debug, Clone, Copy)]
struct Fraction {
    numerator: i128,
    denominator: i128,
}

impl Fraction {
    const ZERO: Self = Self {
        numerator: 0,
        denominator: 1,
    };

    fn plus(self, other: Self) -> Option<Self> {
        if self.denominator == other.denominator {
            let numerator = self.numerator.checked_add(other.numerator)?;
            return Some(Self { numerator, ..self });
        }
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Some(
            Self {
                numerator: left.checked_add(right)?,
                denominator: self.denominator.checked_mul(other.denominator)?,
            }
            .reduced(),
        )
    }

    fn reduced(self) -> Self {
        let divisor = greatest_common_divisor(self.numerator.unsigned_abs(), self.denominator.unsigned_abs());
        let divisor = i128::try_from(divisor.max(1)).unwrap_or(1);
        Self {
            numerator: self.numerator / divisor,
            denominator: self.denominator / divisor,
        }
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
