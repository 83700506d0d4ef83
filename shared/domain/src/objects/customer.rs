//! A customer, and who that is in the application.

/// A customer: <https://docs.stripe.com/api/customers/object>.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    /// When it was made, unix seconds.
    pub created: Option<i64>,
    /// Email address.
    pub email: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// `metadata.user_id`: the application's own id for this person.
    pub user_id: Option<String>,
    /// Currency of its invoices, once it has one.
    pub currency: Option<String>,
    /// What it owes (positive) or is owed, minor units.
    pub balance: Option<i64>,
    /// Whether its latest charge or invoice failed.
    pub delinquent: Option<bool>,
    /// Metadata, a JSON object.
    pub metadata: String,
}
