//! From objects to effects: one transaction over a batch of marks. Load the facts under locks, decide, write the
//! difference. What follows does not depend on which event came first, because it follows from what is there.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::credits::{Problem, Reckoned, expired_of, transfers};
use domain::{Policy, Standing, standing_of};
use store::sweep::ClockTransfer;
use store::{
    Id, Mark, OutboxRow, PostedTransfer, SourceFacts, SourceKey, Store, StoreError, Subjects,
    SubscriptionFacts, SubscriptionRow, Tx, Wanted,
};

use crate::news;
use crate::refetch;
use crate::report;
use crate::sweeper;

/// Marks taken into one transaction. The more, the more of them are about the same customers, who are reckoned once.
pub const MARKS_MAX: u32 = 2_048;

/// Why a batch could not be reckoned.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ReckonError {
    /// What Postgres says.
    #[source]
    pub error: StoreError,
    /// The rows of `marks` that were taken. They are there again.
    pub rows: Vec<i64>,
}

impl From<StoreError> for ReckonError {
    fn from(error: StoreError) -> Self {
        let rows = Vec::new();
        Self { error, rows }
    }
}

/// What was reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// How many subjects.
    pub subjects: usize,
    /// Whether there were as many marks as could be taken, so that there may be more.
    pub is_full: bool,
}

/// Takes the oldest marks, at most `marks_max`, and makes what follows from them true; `None` when there was nothing to
/// do.
///
/// # Errors
/// [`ReckonError`]; nothing has happened, or (when committing) nobody knows, and trying again finds out.
pub async fn reckon(store: &Store, policy: &Policy, marks_max: u32) -> Result<Option<Done>, ReckonError> {
    let mut tx = store.begin().await?;
    let taken = tx.take_marks(marks_max).await?;
    if taken.marks.is_empty() {
        tx.commit().await?;
        return Ok(None);
    }
    let is_full = taken.rows.len() >= marks_max as usize;
    match reckon_marks(tx, &taken.marks, policy, store.can_ask()).await {
        Ok(subjects) => Ok(Some(Done { subjects, is_full })),
        Err(error) => Err(ReckonError {
            error,
            rows: taken.rows,
        }),
    }
}

async fn reckon_marks(
    mut tx: Tx,
    marks: &[Mark],
    policy: &Policy,
    can_ask: bool,
) -> Result<usize, StoreError> {
    let Subjects {
        customers,
        subscriptions,
        mut users,
        sources,
    } = tx.subjects_of(marks).await?;
    let count = customers.len() + subscriptions.len() + users.len() + sources.len();
    users.extend(tx.attribute_customers(&customers).await?);
    let (mut news, owners) = reckon_subscriptions(&mut tx, &subscriptions, policy).await?;
    users.extend(owners);
    users.sort();
    users.dedup();
    let moved = tx.reckon_users(&users).await?;
    report::moved(&moved);
    news.extend(moved.iter().map(news::of_user));
    let (told, mut wanted) = reckon_sources(&mut tx, &sources, policy).await?;
    news.extend(told);
    tx.tell(&news).await?;
    wanted.extend(tx.missing_payments(marks).await?);
    tx.want(&wanted, can_ask).await?;
    tx.commit().await?;
    Ok(count)
}

/// What subscriptions mean; returns what to tell, and the users who have to be looked at.
async fn reckon_subscriptions(
    tx: &mut Tx,
    ids: &[Id],
    policy: &Policy,
) -> Result<(Vec<OutboxRow>, Vec<Id>), StoreError> {
    let facts = tx.subscription_facts(ids).await?;
    let mut rows = Vec::with_capacity(facts.len());
    for facts in &facts {
        rows.push(meaning(tx, facts, policy).await?);
    }
    let pairs = || facts.iter().zip(&rows);
    let owner = |row: &SubscriptionRow| (row.user_id.clone(), row.team_id.clone());
    let changed_hands: Vec<&Id> = pairs()
        .filter(|(facts, row)| facts.before.as_ref().map(owner) != Some(owner(row)))
        .map(|(facts, _)| &facts.id)
        .collect();
    tx.write_subscriptions(&rows, &changed_hands).await?;

    let before = facts.iter().filter_map(|facts| facts.before.as_ref());
    let users = before.chain(&rows).filter_map(|row| {
        row.user_id.clone().map(|id| Id {
            account: row.id.account.clone(),
            id,
        })
    });
    let users = users.collect();
    Ok((
        pairs()
            .flat_map(|(facts, row)| news::of_subscription(facts, row))
            .collect(),
        users,
    ))
}

/// The meaning of a subscription. A status newer than this build changes nothing: the last one it knows counts.
async fn meaning(
    tx: &mut Tx,
    facts: &SubscriptionFacts,
    policy: &Policy,
) -> Result<SubscriptionRow, StoreError> {
    let mut status = facts.status.clone().unwrap_or_default();
    let mut standing = standing_of(&status, policy);
    if standing.is_none() {
        report::unknown_status(&facts.id.id, &status);
        for earlier in tx.statuses_of(&facts.id).await? {
            standing = standing_of(&earlier, policy);
            if standing.is_some() {
                status = earlier;
                break;
            }
        }
    }
    let standing = standing.unwrap_or(Standing::NONE);
    let expired_at = facts
        .before
        .as_ref()
        .and_then(|before| before.expired_at)
        .filter(|_| standing.state == domain::State::Canceled);
    Ok(SubscriptionRow {
        id: facts.id.clone(),
        user_id: facts.user_id.clone(),
        team_id: facts.team_id.clone(),
        state: if expired_at.is_some() {
            domain::State::Expired
        } else {
            standing.state
        },
        entitled: standing.entitled,
        status: Some(status),
        ended_at: facts.ended_at,
        expired_at,
    })
}

/// Moves the ledger to what the sources say; returns what to tell, and what to ask.
async fn reckon_sources(
    tx: &mut Tx,
    keys: &[SourceKey],
    policy: &Policy,
) -> Result<(Vec<OutboxRow>, Vec<Wanted>), StoreError> {
    if keys.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    tx.lock_sources(keys).await?;
    let (facts, reckoned) = decide_sources(tx, keys, policy).await?;
    let posted = tx.posted(keys).await?;
    let nothing = domain::credits::Posted::default();
    let mut missing = Vec::new();
    for (facts, reckoned) in facts.iter().zip(&reckoned) {
        let held = posted.get(&facts.key).unwrap_or(&nothing);
        for transfer in transfers(&reckoned.targets, held) {
            missing.push(PostedTransfer {
                source: facts.key.clone(),
                expires_at: facts.expires_at.filter(|_| transfer.credits > 0),
                transfer,
                seq: 0,
            });
        }
    }
    number(tx, &mut missing).await?;
    tx.append(&missing).await?;
    let corrections = correct_expired(tx, &facts, &missing).await?;
    let rows: Vec<(&SourceFacts, &Reckoned)> = facts.iter().zip(&reckoned).collect();
    tx.write_sources(&rows).await?;
    report::credits(missing.iter().map(|it| &it.transfer));
    report::credits(corrections.iter().map(|it| &it.transfer));
    let unowned =
        |(_, reckoned): &&(&SourceFacts, &Reckoned)| reckoned.problem == Some(Problem::UnknownOwner);
    let unowned: Vec<&SourceKey> = rows.iter().filter(unowned).map(|(facts, _)| &facts.key).collect();
    let mut wanted = tx.missing_owners(&unowned).await?;
    wanted.extend(refetch::wanted_by_sources(&rows));
    let corrections = corrections.iter().map(news::of_clock);
    Ok((
        missing.iter().map(news::of_transfer).chain(corrections).collect(),
        wanted,
    ))
}

/// What was appended may concern grants that have expired: then what expired of them is another number.
async fn correct_expired(
    tx: &mut Tx,
    facts: &[SourceFacts],
    appended: &[PostedTransfer],
) -> Result<Vec<ClockTransfer>, StoreError> {
    let changed: HashSet<&SourceKey> = appended.iter().map(|it| &it.source).collect();
    let changed = facts.iter().filter(|facts| changed.contains(&facts.key));
    let grants: Vec<(&SourceKey, String)> = changed.map(|it| (&it.key, it.source.key())).collect();
    if grants.is_empty() {
        return Ok(Vec::new());
    }
    let grants: Vec<(&SourceKey, &str)> = grants
        .iter()
        .map(|(source, key)| (*source, key.as_str()))
        .collect();
    let mut corrections = Vec::new();
    for it in tx.expired_grants(&grants).await? {
        let credits = it.expired - expired_of(it.net, it.used);
        if credits != 0 {
            corrections.push(sweeper::expiry(&it.account, &it.key, it.owner, credits));
        }
    }
    sweeper::append(tx, &mut corrections).await?;
    Ok(corrections)
}

/// What follows from each source. Whoever learns a price that one of them waits for will find it.
async fn decide_sources(
    tx: &mut Tx,
    keys: &[SourceKey],
    policy: &Policy,
) -> Result<(Vec<SourceFacts>, Vec<Reckoned>), StoreError> {
    let mut awaited: BTreeSet<(String, String)> = BTreeSet::new();
    let mut missed = false;
    loop {
        let facts = tx.source_facts(keys).await?;
        let reckoned: Vec<Reckoned> = facts.iter().map(|facts| facts.source.reckon(policy)).collect();
        let waiting = facts.iter().zip(&reckoned);
        let waiting = waiting.filter_map(|(facts, reckoned)| match &reckoned.problem {
            Some(Problem::UnknownPrice(price)) => Some((&facts.key, price)),
            _ => None,
        });
        let prices: BTreeSet<(String, String)> = waiting
            .clone()
            .map(|(key, price)| (key.account.clone(), price.clone()))
            .collect();
        let new: Vec<(&str, &str)> = prices
            .difference(&awaited)
            .map(|(a, p)| (a.as_str(), p.as_str()))
            .collect();
        if new.is_empty() {
            if missed {
                tx.mark_sources(&waiting.map(|(key, _)| key).collect::<Vec<_>>())
                    .await?;
            }
            return Ok((facts, reckoned));
        }
        // Perhaps they are being learned just now: look again, and for the others be found. Another price may
        // turn out to be unknown when the first one is known.
        missed |= !tx.wait_for_prices(&new).await?;
        awaited.extend(prices);
    }
}

/// Gives each transfer the next number of its business key. Two sources may share a key (one payment for two
/// invoices); should another reckoner take the same number meanwhile, the database refuses and we try again.
async fn number(tx: &mut Tx, transfers: &mut [PostedTransfer]) -> Result<(), StoreError> {
    if transfers.is_empty() {
        return Ok(());
    }
    let keys = transfers
        .iter()
        .map(|it| (it.source.account.as_str(), it.transfer.place.key.as_str()));
    let mut keys: Vec<(&str, &str)> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    let mut last: HashMap<(String, String), i32> = tx.last_seqs(&keys).await?;
    for it in transfers {
        let key = (it.source.account.clone(), it.transfer.place.key.clone());
        let seq = last.entry(key).or_default();
        *seq += 1;
        it.seq = *seq;
    }
    Ok(())
}
