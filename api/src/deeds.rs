//! What staff do in place of a user, or of the application, is in the audit log, like everything they do. Who is no staff
//! does it in their own right, and what became of it is told elsewhere.

use serde_json::Value;
use store::StoreError;
use store::api::{ActingTx, AuditRow, IntentKind, NOT_SAID};

/// Something that others do all the time.
pub(crate) struct Deed<'a> {
    /// A word from a closed set.
    pub action: &'static str,
    /// Whom it concerns.
    pub user: Option<&'a str>,
    /// What it concerns.
    pub subject: Option<&'a str>,
    /// Why, where the request says so.
    pub why: Option<&'a str>,
    /// More.
    pub detail: &'a Value,
}

/// Writes it down, where it is staff who do it, in the transaction that does it.
pub(crate) async fn by_staff(tx: &mut ActingTx, deed: Deed<'_>) -> Result<(), StoreError> {
    if !tx.is_by_staff() {
        return Ok(());
    }
    tx.audit(AuditRow {
        action: deed.action,
        user: deed.user,
        subject: deed.subject,
        reason: deed.why.unwrap_or(NOT_SAID),
        detail: deed.detail,
    })
    .await
}

/// What an intent is called in the audit log. `None`: a step on the way to another, or said with more by who writes it
/// down.
pub(crate) fn action(kind: IntentKind) -> Option<&'static str> {
    match kind {
        IntentKind::Customer | IntentKind::Expire | IntentKind::Refund => None,
        IntentKind::Subscribe => Some("checkout.subscribe"),
        IntentKind::Buy => Some("checkout.buy"),
        IntentKind::Payment => Some("payment.begin"),
        IntentKind::Portal => Some("portal.open"),
        IntentKind::Change => Some("subscription.change"),
        IntentKind::Cancel => Some("subscription.cancel"),
        IntentKind::Resume => Some("subscription.resume"),
    }
}
