//! What is left of credits whose time is over. Credits that expire sooner are used sooner.

/// What one grant came to, for one owner: with its corrections, without its refunds and disputes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// The grant's business key.
    pub key: String,
    /// When it expires, unix seconds; `None` for never.
    pub expires_at: Option<i64>,
    /// Credits.
    pub net: i64,
}

/// A lot whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The grant's business key.
    pub key: String,
    /// What was left of it, and is no more.
    pub credits: i64,
    /// What had been used of it; more than it had when later lots were used, too, or more than all. Should it grow
    /// again, as by a dispute that is won, that counts first.
    pub used: i64,
}

/// The lots whose time is over at `now`, the first to end first. `lots` are all that have not expired before; of
/// the owner's `balance`, a lot has what the lots that end after it leave.
#[must_use]
pub fn expiries(balance: i64, lots: &[Lot], now: i64) -> Vec<Expiry> {
    let mut lots: Vec<&Lot> = lots.iter().collect();
    lots.sort_by_key(|lot| (lot.expires_at.unwrap_or(i64::MAX), &lot.key));
    let mut later = lots
        .iter()
        .fold(0_i64, |sum, lot| sum.saturating_add(lot.net.max(0)));
    let mut balance = balance;
    let mut expiries = Vec::new();
    for lot in lots {
        if lot.expires_at.is_none_or(|at| at > now) {
            break;
        }
        later -= lot.net.max(0);
        let left = balance.saturating_sub(later);
        let used = lot.net.saturating_sub(left).max(0);
        let credits = expired_of(lot.net, used);
        balance -= credits;
        expiries.push(Expiry {
            key: lot.key.clone(),
            credits,
            used,
        });
    }
    expiries
}

/// What expires of a lot of which so much had been used. `net` may change afterwards: a refund then takes back what
/// has expired before what has been used, and what a won dispute gives back has expired.
#[must_use]
pub fn expired_of(net: i64, used: i64) -> i64 {
    net.saturating_sub(used).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100;

    fn lots(list: &[(&str, Option<i64>, i64)]) -> Vec<Lot> {
        let lot = |(key, expires_at, net): &(&str, Option<i64>, i64)| Lot {
            key: (*key).to_owned(),
            expires_at: *expires_at,
            net: *net,
        };
        list.iter().map(lot).collect()
    }

    #[test]
    fn what_ends_first_is_used_first() {
        type Case = (
            i64,
            &'static [(&'static str, Option<i64>, i64)],
            &'static [(&'static str, i64)],
        );
        let cases: [Case; 12] = [
            // Nothing used, some used, all used.
            (1000, &[("a", Some(90), 1000)], &[("a", 1000)]),
            (700, &[("a", Some(90), 1000)], &[("a", 700)]),
            (0, &[("a", Some(90), 1000)], &[("a", 0)]),
            // The very second, and not yet.
            (5, &[("a", Some(100), 5)], &[("a", 5)]),
            (5, &[("a", Some(101), 5)], &[]),
            // What lasts longer is left alone: 300 of 1500 were used, all of the first.
            (1200, &[("a", Some(90), 1000), ("b", None, 500)], &[("a", 700)]),
            (400, &[("a", Some(90), 1000), ("b", None, 500)], &[("a", 0)]),
            (
                1200,
                &[("b", Some(900), 500), ("a", Some(90), 1000)],
                &[("a", 700)],
            ),
            // Two at once: 40 of 140 were used.
            (
                100,
                &[("b", Some(95), 60), ("a", Some(90), 80)],
                &[("a", 40), ("b", 60)],
            ),
            // Below zero nothing is left.
            (-50, &[("a", Some(90), 1000)], &[("a", 0)]),
            // More than all lots: credits of unknown origin last.
            (5000, &[("a", Some(90), 1000)], &[("a", 1000)]),
            // A grant that was refunded has nothing to lose.
            (500, &[("a", Some(90), 0), ("b", None, 500)], &[("a", 0)]),
        ];
        for (balance, list, expected) in cases {
            let found = expiries(balance, &lots(list), NOW);
            let found: Vec<_> = found.iter().map(|it| (it.key.as_str(), it.credits)).collect();
            assert_eq!(found, expected, "{balance} {list:?}");
        }
    }

    #[test]
    fn a_refund_ends_in_the_same_balance_before_and_after_the_expiry() {
        for used in [0, 300, 1000] {
            for refunded in [0, 200, 500, 1000] {
                let before = {
                    let balance = 1000 - used - refunded;
                    let lot = lots(&[("a", Some(90), 1000 - refunded)]);
                    balance - expiries(balance, &lot, NOW)[0].credits
                };
                let after = {
                    let expiry = &expiries(1000 - used, &lots(&[("a", Some(90), 1000)]), NOW)[0];
                    assert_eq!(expiry.used, used);
                    1000 - used - refunded - expired_of(1000 - refunded, expiry.used)
                };
                assert_eq!(before, after, "used {used}, refunded {refunded}");
            }
        }
    }

    #[test]
    fn a_dispute_that_is_won_after_the_expiry_leaves_nothing_and_owes_nothing() {
        let expiry = &expiries(-300, &lots(&[("a", Some(90), 0)]), NOW)[0];
        assert_eq!((expiry.credits, expiry.used), (0, 300));
        assert_eq!(-300 + 1000 - expired_of(1000, expiry.used), 0);
    }
}
