//! The jobs of a sweep, page by page: lock, decide, write, commit.

use std::collections::BTreeMap;

use domain::credits::{Place, Side, TransferKind, expiries, free_grants, month_of};
use domain::{Policy, expired_since};
use store::sweep::{CanceledAfter, ClockTransfer, DueAfter, Entitled, FreeAfter, Page};
use store::{Id, Store, StoreError, Tx};

use super::{CANCELED, CORRECTED, EXPIRING, FREE, PAGE_ROWS, append, by_clock, expiry};
use crate::{news, report};

const DAY_SECONDS: i64 = 86_400;

/// Cancellations expire: it is noted here, and what follows is the reckoner's.
pub(super) async fn canceled(store: &Store, policy: &Policy, now: i64) -> Result<u64, StoreError> {
    let mut done = 0;
    let mut after = Some(CanceledAfter::default());
    let ended_by = now.saturating_sub(policy.expire_grace_seconds);
    while let Some(from) = after {
        let mut tx = store.begin().await?;
        let Page { rows, next } = tx.lock_canceled(ended_by, &from, PAGE_ROWS).await?;
        let expired: Vec<(&Id, i64)> = rows
            .iter()
            .filter_map(|it| Some((&it.id, expired_since(it.ended_at, it.paid_through, policy, now)?)))
            .collect();
        tx.expire_subscriptions(&expired).await?;
        tx.commit().await?;
        done += expired.len() as u64;
        report::swept(CANCELED, expired.len() as u64);
        after = next;
    }
    Ok(done)
}

/// Corrections of plans end: it is noted here, and what follows is the reckoner's.
pub(super) async fn corrected(store: &Store, now: i64) -> Result<u64, StoreError> {
    let mut done = 0;
    loop {
        let ended = store.end_corrections(now, PAGE_ROWS).await?;
        done += ended;
        report::swept(CORRECTED, ended);
        if ended < u64::from(PAGE_ROWS) {
            return Ok(done);
        }
    }
}

/// Credits expire.
pub(super) async fn expiring(store: &Store, now: i64) -> Result<u64, StoreError> {
    let mut done = 0;
    let mut after = Some(DueAfter::default());
    while let Some(from) = after {
        let mut tx = store.begin().await?;
        let Page { rows, next } = tx.lock_expiring(now, &from, PAGE_ROWS).await?;
        let mut noted = Vec::new();
        let mut transfers = Vec::new();
        for it in &rows {
            for expired in expiries(it.balance, &it.lots, now) {
                if expired.credits > 0 {
                    let owner = it.owner.clone();
                    transfers.push(expiry(&it.account, &expired.key, owner, -expired.credits));
                }
                noted.push((it, expired));
            }
        }
        tx.note_expired(&noted).await?;
        let count = noted.len() as u64;
        post(tx, &mut transfers).await?;
        done += count;
        report::swept(EXPIRING, count);
        after = next;
    }
    Ok(done)
}

/// Free credits of this month are given.
pub(super) async fn free(store: &Store, policy: &Policy, now: i64) -> Result<u64, StoreError> {
    let month = month_of(now);
    let (mut done, mut refused) = (0, 0);
    let mut after = Some(FreeAfter::default());
    while let Some(from) = after {
        let mut tx = store.begin().await?;
        let Page { rows, next } = tx.lock_entitled(now, &month, &from, PAGE_ROWS).await?;
        let wanted = rows.len();
        let mut transfers = affordable(&mut tx, rows, policy, now).await?;
        let count = transfers.len();
        post(tx, &mut transfers).await?;
        refused += wanted - count;
        done += count as u64;
        report::swept(FREE, count as u64);
        after = next;
    }
    report::free_refused(refused);
    Ok(done)
}

/// The grants there is capacity for. Accounts are asked in order, so that two sweepers wait in no circle.
async fn affordable(
    tx: &mut Tx,
    wanted: Vec<Entitled>,
    policy: &Policy,
    now: i64,
) -> Result<Vec<ClockTransfer>, StoreError> {
    let mut by_account: BTreeMap<String, Vec<Entitled>> = BTreeMap::new();
    for it in wanted {
        by_account.entry(it.id.account.clone()).or_default().push(it);
    }
    let mut transfers = Vec::new();
    for (account, wanted) in by_account {
        let left = match policy.outstanding_max {
            Some(most) => Some(tx.lock_capacity(&account, most).await?),
            None => None,
        };
        let credits: Vec<i64> = wanted.iter().map(|it| it.credits).collect();
        let fits = free_grants(&credits, left);
        let granted = wanted.into_iter().zip(fits).filter(|(_, fits)| *fits);
        transfers.extend(granted.map(|(it, _)| grant(it, now)));
    }
    Ok(transfers)
}

fn grant(it: Entitled, now: i64) -> ClockTransfer {
    let days = it.expire_days.map(i64::from);
    let expires_at = days.map(|days| now.saturating_add(days.saturating_mul(DAY_SECONDS)));
    let place = Place {
        key: it.key,
        kind: TransferKind::Free,
        owner: it.owner,
        side: Side::Issued,
    };
    by_clock(&it.id.account, place, it.credits, expires_at)
}

/// Appends, tells, commits.
async fn post(mut tx: Tx, transfers: &mut [ClockTransfer]) -> Result<(), StoreError> {
    append(&mut tx, transfers).await?;
    tx.tell(&transfers.iter().map(news::of_clock).collect::<Vec<_>>())
        .await?;
    tx.commit().await?;
    report::credits(transfers.iter().map(|it| &it.transfer));
    Ok(())
}
