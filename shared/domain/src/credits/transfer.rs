//! From targets to transfers: the difference to what the ledger holds.

use std::collections::BTreeMap;

/// Whose credits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A user of the application.
    User(String),
    /// A team whose members share them.
    Team(String),
}

impl Owner {
    /// `user` or `team`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(_) => "team",
        }
    }

    /// The user's or team's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Team(id) => id,
        }
    }

    /// The owner of `kind` and `id`.
    #[must_use]
    pub fn new(kind: &str, id: String) -> Option<Self> {
        match kind {
            "user" => Some(Self::User(id)),
            "team" => Some(Self::Team(id)),
            _ => None,
        }
    }
}

/// The platform's account on the other side of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Where granted credits come from, and where refunded ones return to.
    Issued,
    /// Where credits wait while a dispute is open.
    Held,
    /// Where credits go whose time is over.
    Expired,
}

impl Side {
    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Held => "held",
            Self::Expired => "expired",
        }
    }

    /// The side of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Issued, Self::Held, Self::Expired]
            .into_iter()
            .find(|side| side.as_str() == word)
    }
}

/// Why credits move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferKind {
    /// A plan was paid.
    Grant,
    /// Credits were bought.
    TopUp,
    /// A payment was given back.
    Refund,
    /// A payment is disputed.
    Dispute,
    /// A month of a subscription came.
    Free,
    /// Their time is over.
    Expire,
}

impl TransferKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Grant,
        Self::TopUp,
        Self::Refund,
        Self::Dispute,
        Self::Free,
        Self::Expire,
    ];

    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::TopUp => "topup",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Free => "free",
            Self::Expire => "expire",
        }
    }
}

impl TransferKind {
    /// The kind of a word, of those that follow from what was paid.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Grant, Self::TopUp, Self::Refund, Self::Dispute]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Where credits of one effect stand: transfers of one place cancel out or add up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The business key.
    pub key: String,
    /// Why.
    pub kind: TransferKind,
    /// Whose.
    pub owner: Owner,
    /// The other side.
    pub side: Side,
}

/// What the ledger should hold, or what is missing to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// Credits the owner has by it; below zero when it takes some.
    pub credits: i64,
}

/// What the ledger holds for one source: credits the owner has by each place.
pub type Posted = BTreeMap<Place, i64>;

/// What brings the ledger from what it holds to its targets: credits to give to the owner, or to take when below
/// zero. What is held without a target goes back.
#[must_use]
pub fn transfers(targets: &[Target], posted: &Posted) -> Vec<Target> {
    let mut missing: BTreeMap<&Place, i64> = BTreeMap::new();
    for (place, credits) in posted {
        *missing.entry(place).or_default() -= credits;
    }
    for target in targets {
        *missing.entry(&target.place).or_default() += target.credits;
    }
    let missing = missing.into_iter().filter(|(_, credits)| *credits != 0);
    missing
        .map(|(place, credits)| Target {
            place: place.clone(),
            credits,
        })
        .collect()
}
