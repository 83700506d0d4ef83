//! What the rest of the world should hear, and under which name: the same change has the same key, whoever finds it.

use domain::credits::{Owner, Target, TransferKind};
use domain::{Notice, State, notice_of};
use serde_json::json;
use store::sweep::ClockTransfer;
use store::{Id, OutboxRow, PostedTransfer, SubscriptionFacts, SubscriptionRow, USER, UserChange};

use crate::item::Item;
use crate::read::Reading;

/// A user stands elsewhere than before. Named by the moment: a user may come to the same state many times.
pub(crate) fn of_user(change: &UserChange) -> OutboxRow {
    let UserChange {
        id: Id { account, id },
        before,
        after,
        number,
    } = change;
    OutboxRow {
        account: account.clone(),
        key: format!("user.state_changed:{id}:{number}"),
        kind: "user.state_changed".to_owned(),
        subject_kind: USER,
        subject_id: id.clone(),
        user_id: Some(id.clone()),
        data: json!({
            "from": before.state.as_str(), "to": after.state.as_str(),
            "entitled_before": before.entitled, "entitled": after.entitled,
        })
        .to_string(),
    }
}

/// A subscription means something else than before. Named by the event whose snapshot made it so.
pub(crate) fn of_subscription(facts: &SubscriptionFacts, row: &SubscriptionRow) -> Option<OutboxRow> {
    let before = facts.before.as_ref().map(SubscriptionRow::standing);
    if before == Some(row.standing()) {
        return None;
    }
    let kind = match row.state {
        State::NoSubscription => "subscription.incomplete",
        State::Trialing => "subscription.trial_started",
        State::Active => "subscription.activated",
        State::PastDue if row.entitled => "subscription.past_due",
        State::PastDue => "subscription.suspended",
        State::Canceled => "subscription.canceled",
        State::Expired => "subscription.expired",
    };
    Some(OutboxRow {
        account: row.id.account.clone(),
        key: format!("{kind}:{}:{}", row.id.id, facts.event_id),
        kind: kind.to_owned(),
        subject_kind: "subscription",
        subject_id: row.id.id.clone(),
        user_id: row.user_id.clone(),
        data: json!({
            "from": before.map(|before| before.state.as_str()), "to": row.state.as_str(), "entitled": row.entitled,
            "status": row.status, "will_cancel": facts.will_cancel,
        })
        .to_string(),
    })
}

/// Credits moved for something that was paid.
pub(crate) fn of_transfer(it: &PostedTransfer) -> OutboxRow {
    let subject = (it.source.kind.as_str(), it.source.id.as_str());
    of_credits(&it.source.account, &it.transfer, it.seq, subject)
}

/// Credits moved because their time came, or was over.
pub(crate) fn of_clock(it: &ClockTransfer) -> OutboxRow {
    let owner = &it.transfer.place.owner;
    of_credits(&it.account, &it.transfer, it.seq, (owner.kind(), owner.id()))
}

fn of_credits(account: &str, transfer: &Target, seq: i32, subject: (&'static str, &str)) -> OutboxRow {
    let place = &transfer.place;
    let kind = match (place.kind, transfer.credits > 0) {
        (TransferKind::Grant | TransferKind::TopUp | TransferKind::Free, true) => "credits.granted",
        (TransferKind::Grant | TransferKind::TopUp | TransferKind::Free, false) => "credits.revoked",
        (TransferKind::Refund | TransferKind::Dispute | TransferKind::Expire, true) => "credits.restored",
        (TransferKind::Refund, false) => "credits.refunded",
        (TransferKind::Dispute, false) => "credits.disputed",
        (TransferKind::Expire, false) => "credits.expired",
    };
    OutboxRow {
        account: account.to_owned(),
        key: format!("{kind}:{}:{seq}", place.key),
        kind: kind.to_owned(),
        subject_kind: subject.0,
        subject_id: subject.1.to_owned(),
        user_id: match &place.owner {
            Owner::User(user) => Some(user.clone()),
            Owner::Team(_) => None,
        },
        data: json!({
            "key": place.key, "credits": transfer.credits, "owner": place.owner.kind(),
            "owner_id": place.owner.id(), "side": place.side.as_str(),
        })
        .to_string(),
    }
}

/// An event that is news in itself.
pub(crate) fn of_event(item: &Item) -> Option<OutboxRow> {
    let Reading::Snapshot(snapshot) = &item.reading else {
        return None;
    };
    let envelope = &item.entry()?.meta.envelope;
    let Notice { kind, key } = notice_of(&envelope.event_type, &snapshot.key.id, discriminator(snapshot))?;
    Some(OutboxRow {
        account: snapshot.key.account.clone(),
        key,
        kind: kind.to_owned(),
        subject_kind: snapshot.key.kind.as_str(),
        subject_id: snapshot.key.id.clone(),
        user_id: None,
        data: json!({ "event": envelope.id, "created": envelope.created }).to_string(),
    })
}

/// What tells repetitions about one object apart: the payment attempt, the end of the trial.
fn discriminator(snapshot: &domain::Snapshot) -> Option<i64> {
    match &snapshot.object {
        domain::Object::Invoice(invoice) => invoice.attempt_count,
        domain::Object::Subscription(subscription) => subscription.trial_end,
        _ => None,
    }
}
