//! Ids in Stripe's shapes.

use crate::dice::{BASE62, Dice};

/// Unix second that Stripe's base-62 creation digits count from, taken from published ids. Stripe
/// does not document it, and nobody should read it back; it only makes the ids look right.
const ID_EPOCH: i64 = 1_342_389_380;
const TIME_DIGITS: usize = 5;
const SUFFIX_LENGTH: usize = 10;
const UNIQUE_LENGTH: usize = 8;
const HEX: &[u8; 16] = b"0123456789abcdef";
const LOWER: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Numbers of ids of one life: 62^4 of them, walked in steps that have no divisor in common with that, so
/// that each comes up once and neighbours look unrelated.
const SERIES: u64 = 62 * 62 * 62 * 62;
const STRIDE: u64 = 7_654_321;
const SERIES_DIGITS: usize = 4;

/// What sets the ids of one life apart from those of all others, whatever their dice show.
#[derive(Debug, Clone)]
struct Tag {
    seed: u64,
    next: u64,
}

/// Makes the ids of one Stripe account.
#[derive(Debug, Clone)]
pub(crate) struct Mint {
    pub(crate) dice: Dice,
    /// The account's part of most ids.
    suffix: String,
    tag: Option<Tag>,
}

impl Mint {
    pub(crate) fn new(dice: Dice, suffix: impl Into<String>) -> Self {
        Self {
            dice,
            suffix: suffix.into(),
            tag: None,
        }
    }

    /// From now on no id is ever equal to one made with another seed (or to another one of this seed).
    pub(crate) fn set_apart(&mut self, seed: u64) {
        let next = self.dice.below(SERIES);
        self.tag = Some(Tag { seed, next });
    }

    /// A token of base-62 characters that no other id has: of `length`, or longer for large seeds.
    fn unique(&mut self, length: usize) -> String {
        let Some(tag) = &mut self.tag else {
            return self.dice.text(BASE62, length);
        };
        tag.next = (tag.next + STRIDE) % SERIES;
        let mut token = code(tag.seed, BASE62);
        token += &digits(tag.next, BASE62, SERIES_DIGITS);
        let rest = length.saturating_sub(token.len());
        token + &self.dice.text(BASE62, rest)
    }

    /// A token for our own id of a user: lower case, `length` characters, or more for large seeds.
    pub(crate) fn user(&mut self, length: usize) -> String {
        let Some(tag) = &self.tag else {
            return self.text(length).to_lowercase();
        };
        let token = code(tag.seed, LOWER);
        let rest = length.saturating_sub(token.len());
        token + &self.dice.text(LOWER, rest)
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
        let unique = self.unique(UNIQUE_LENGTH);
        format!("{prefix}_{lead}{}{}{unique}", base62(at - ID_EPOCH), self.suffix)
    }

    /// `cus_TPvU25JB9H1DYj`: customers, products, subscription items.
    pub(crate) fn short(&mut self, prefix: &str) -> String {
        format!("{prefix}_T{}", self.unique(13))
    }

    /// `cs_test_a1...`, 66 characters as in test mode.
    pub(crate) fn session(&mut self) -> String {
        format!("cs_test_a1{}", self.unique(56))
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
    let seconds = u64::try_from(seconds).unwrap_or(0);
    digits(seconds, BASE62, TIME_DIGITS)
}

/// The last `count` digits of `number`.
fn digits(number: u64, alphabet: &[u8], count: usize) -> String {
    let base = u64::try_from(alphabet.len()).expect("small");
    let mut rest = number;
    let mut digits = vec![b'0'; count];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[usize::try_from(rest % base).expect("below the base")];
        rest /= base;
    }
    digits.into_iter().map(char::from).collect()
}

/// `number` with its count of digits before it, so that no code is the beginning of another one.
fn code(number: u64, alphabet: &[u8]) -> String {
    let base = u64::try_from(alphabet.len()).expect("small");
    let count = number.checked_ilog(base).map_or(1, |log| log + 1);
    let count = usize::try_from(count).expect("a 64-bit number has few digits");
    format!(
        "{}{}",
        char::from(alphabet[count]),
        digits(number, alphabet, count)
    )
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

    #[test]
    fn tagged_ids_keep_the_shape_and_never_meet() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in [0, 1, 61, 62, 63, 3843, 3844, 238_327, 238_328, u64::MAX] {
            // The same dice for all: nothing but the tag tells them apart.
            let mut mint = Mint::new(Dice::new(1), "Kd9Lm2Qx7T");
            mint.set_apart(seed);
            assert!(seen.insert(mint.user(10)));
            for _ in 0..100 {
                assert!(seen.insert(mint.id("evt", 1_793_613_600)));
                assert!(seen.insert(mint.short("cus")));
                assert!(seen.insert(mint.session()));
            }
        }
        let mut small = Mint::new(Dice::new(1), "Kd9Lm2Qx7T");
        small.set_apart(9999);
        assert_eq!(small.id("evt", 1_793_613_600).len(), 28);
        assert_eq!(small.short("cus").len(), 18);
        assert_eq!(small.session().len(), 66);
    }
}
