//! The two API versions events are rendered in.

use std::fmt;

/// A Stripe API version an endpoint may be pinned to. We render the last one before the great move
/// of fields (2025-03-31.basil) and the newest, so that both shapes of every moved field occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// `2024-06-20`: periods on the subscription, payment intent and charge on the invoice.
    V2024_06_20,
    /// `2026-10-28.endive`: periods on the items, `parent` and `pricing` on invoices and lines.
    V2026_10_28Endive,
}

impl ApiVersion {
    /// Every version we render, oldest first.
    pub const ALL: [Self; 2] = [Self::V2024_06_20, Self::V2026_10_28Endive];

    /// Stripe's text for the version, as in `event.api_version`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_06_20 => "2024-06-20",
            Self::V2026_10_28Endive => "2026-10-28.endive",
        }
    }

    /// Whether the fields are where 2025-03-31.basil moved them.
    #[must_use]
    pub const fn is_current(self) -> bool {
        matches!(self, Self::V2026_10_28Endive)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
