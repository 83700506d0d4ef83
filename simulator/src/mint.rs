//! Ids in Stripe's shapes.

use crate::dice::{BASE62, Dice};

/// Unix second that Stripe's base-62 creation digits count from, taken from published ids. Stripe
/// does not document it, and nobody should read it back; it only makes the ids look right.
const ID_EPOCH: i64 = 1_342_389_380;
const TIME_DIGITS: u32 = 5;
const SUFFIX_LENGTH: usize = 10;
const UNIQUE_LENGTH: usize = 8;
const HEX: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Makes the ids of one Stripe account.
#[derive(Debug, Clone)]
pub(crate) struct Mint {
    pub(crate) dice: Dice,
    /// The account's part of most ids.
    suffix: String,
}

impl Mint {
    pub(crate) fn new(dice: Dice, suffix: impl Into<String>) -> Self {
        Self {
            dice,
            suffix: suffix.into(),
        }
    }

    /// The account part of ids, drawn by `dice`.
    pub(crate) fn draw_suffix(dice: &mut Dice) -> String {
        dice.text(BASE62, SUFFIX_LENGTH)
    }

    /// `evt_1UXI20Kd9Lm2Qx7T3h9A0LFK`: prefix, 1, creation second, account, unique part.
    pub(crate) fn id(&mut self, prefix: &str, at: i64) -> String {
        self.lead(prefix, '1', at)
    }

    /// As [`Mint::id`] with the leading 3 of intents, charges and refunds.
    pub(crate) fn payment_id(&mut self, prefix: &str, at: i64) -> String {
        self.lead(prefix, '3', at)
    }

    fn lead(&mut self, prefix: &str, lead: char, at: i64) -> String {
        let unique = self.dice.text(BASE62, UNIQUE_LENGTH);
        format!("{prefix}_{lead}{}{}{unique}", base62(at - ID_EPOCH), self.suffix)
    }

    /// `cus_TPvU25JB9H1DYj`: customers, products, subscription items.
    pub(crate) fn short(&mut self, prefix: &str) -> String {
        format!("{prefix}_T{}", self.text(13))
    }

    /// `cs_test_a1...`, 66 characters as in test mode.
    pub(crate) fn session(&mut self) -> String {
        format!("cs_test_a1{}", self.text(56))
    }

    /// A token of base-62 characters.
    pub(crate) fn text(&mut self, length: usize) -> String {
        self.dice.text(BASE62, length)
    }

    /// A token of upper-case letters and digits, as in invoice prefixes.
    pub(crate) fn upper(&mut self, length: usize) -> String {
        self.dice.text(UPPER, length)
    }

    /// A version-4 UUID, as our own client and Stripe's libraries use for idempotency keys.
    pub(crate) fn uuid(&mut self) -> String {
        let mut part = |length| self.dice.text(HEX, length);
        format!("{}-{}-4{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
    }
}

fn base62(seconds: i64) -> String {
    let mut rest = usize::try_from(seconds.max(0)).expect("not negative");
    let mut digits = [b'0'; TIME_DIGITS as usize];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % BASE62.len()];
        rest /= BASE62.len();
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_stripes_shape() {
        let mut mint = Mint::new(Dice::new(1), "Kd9Lm2Qx7T");
        let id = mint.id("evt", 1_793_613_600);
        assert!(id.starts_with("evt_1UXI20Kd9Lm2Qx7T"), "{id}");
        assert_eq!(id.len(), 28);
        assert!(
            mint.payment_id("pi", 1_793_613_670)
                .starts_with("pi_3UXI38Kd9Lm2Qx7T")
        );
        assert_eq!(mint.short("cus").len(), 18);
        assert_eq!(mint.session().len(), 66);
        assert_eq!(mint.uuid().len(), 36);
    }
}
