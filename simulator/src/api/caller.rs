//! Who asks, as far as headers say.

use super::{errors::Reply, form::Read, server::Call};
use crate::{ApiVersion, shop::Shop};

/// 2025-03-31.basil moved the fields in which our two shapes differ.
const MOVED: &str = "2025-03-31";

/// On whose account something is asked, and how it is to be answered.
pub(super) struct Caller<'a> {
    /// A connected account; none for the platform.
    pub(super) account: Option<&'a str>,
    /// The shape to answer in; none for that of the object's own life.
    pub(super) version: Option<ApiVersion>,
}

impl<'a> Caller<'a> {
    pub(super) fn of(call: &'a Call, shop: &Shop) -> Read<Self> {
        let account = call
            .header("stripe-account")
            .or_else(|| call.header("stripe-context"));
        let account = account.filter(|account| *account != shop.model.platform());
        if let Some(stranger) = account.filter(|account| !shop.model.knows_account(account)) {
            return Err(Reply::foreign_account(stranger));
        }
        let version = match call.header("stripe-version") {
            Some(name) => Some(shape(name).ok_or_else(|| Reply::bad_version(name))?),
            None => None,
        };
        Ok(Self { account, version })
    }
}

/// The nearest of our shapes to a version such as `2026-09-30.endive`; none for what is no version.
fn shape(name: &str) -> Option<ApiVersion> {
    let date = name.split('.').next()?;
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 4 | 7) {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
    is_date.then_some(if date < MOVED {
        ApiVersion::V2024_06_20
    } else {
        ApiVersion::V2026_10_28Endive
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_answered_in_the_nearest_shape() {
        let (old, new) = (Some(ApiVersion::V2024_06_20), Some(ApiVersion::V2026_10_28Endive));
        let cases = [
            ("2024-06-20", old),
            ("2025-02-24.acacia", old),
            ("2025-03-31.basil", new),
            ("2026-10-28.endive", new),
            ("2027-01-01.unheard", new),
            ("latest", None),
            ("2024/06/20", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(shape(name), expected, "{name}");
        }
    }
}
