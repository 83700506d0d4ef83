//! What was paid: the joined facts of invoices, checkout sessions and payment intents, and what came of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::credits::{
    ChargeFacts, DisputeFacts, GrantBasis, Line, Owner, PaymentFacts, Reckoned, RefundFacts, Source,
    SourceKind, Terms,
};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::SourceKey;
use crate::lock::Lock;
use crate::upsert::{column, upsert};

/// Everything known about a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFacts {
    /// Which.
    pub key: SourceKey,
    /// What the rules need.
    pub source: Source,
    /// When credits granted by it expire, unix seconds.
    pub expires_at: Option<i64>,
    /// What was found last time.
    pub problem_before: Option<String>,
    /// Whose it was last time.
    pub owner_before: Option<Owner>,
}

static LOCK: LazyLock<Lock> = LazyLock::new(|| Lock::new("money_sources", &["account", "kind", "id"], &[]));

/// Locks sources in order, making those that are missing.
pub(crate) async fn lock(connection: &mut PgConnection, keys: &[SourceKey]) -> Result<(), sqlx::Error> {
    let (accounts, kinds, ids) = arrays(keys);
    LOCK.take(connection, &[accounts, kinds, ids]).await?;
    Ok(())
}

fn arrays(keys: &[SourceKey]) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    (
        column!(keys, key => key.account.as_str()),
        column!(keys, key => key.kind.as_str()),
        column!(keys, key => key.id.as_str()),
    )
}

/// What each source is and whose, beside its lines and payments. Whoever is named first counts: the source itself,
/// then its subscription, then its customer.
const HEADS: &str = "
    SELECT wanted.position,
        CASE wanted.kind
            WHEN 'invoice' THEN i.status = 'paid' AND NOT i.deleted
            WHEN 'checkout.session' THEN c.mode = 'payment' AND c.status = 'complete'
                                     AND c.payment_status IN ('paid', 'no_payment_required')
            ELSE p.status = 'succeeded' AND p.metadata ->> 'credits_source' = 'payment_intent'
                 AND NOT EXISTS (SELECT FROM checkout_sessions x
                                 WHERE (x.account, x.payment_intent_id) = (p.account, p.id)) END,
        i.billing_reason, i.lines_complete,
        coalesce(i.amount_paid, c.amount_total, p.amount_received, 0),
        coalesce(c.metadata, p.metadata) ->> 'credits',
        coalesce(c.metadata, p.metadata) ->> 'credits_expire_days',
        extract(epoch FROM coalesce(i.created, c.created, p.created))::bigint,
        nullif(coalesce(i.metadata ->> 'team_id', s.metadata ->> 'team_id', c.metadata ->> 'team_id',
                        p.metadata ->> 'team_id', u.team_id), ''),
        nullif(coalesce(i.user_id, s.user_id, c.user_id, p.metadata ->> 'user_id', u.user_id), ''),
        m.problem, m.owner_kind, m.owner_id
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, kind, id, position)
    JOIN money_sources m ON (m.account, m.kind, m.id) = (wanted.account, wanted.kind, wanted.id)
    LEFT JOIN invoices i ON wanted.kind = 'invoice' AND (i.account, i.id) = (wanted.account, wanted.id)
    LEFT JOIN checkout_sessions c ON wanted.kind = 'checkout.session' AND (c.account, c.id) = (wanted.account, wanted.id)
    LEFT JOIN payment_intents p ON wanted.kind = 'payment_intent' AND (p.account, p.id) = (wanted.account, wanted.id)
    LEFT JOIN subscriptions s ON (s.account, s.id) = (i.account, i.subscription_id)
    LEFT JOIN customer_users u ON u.account = wanted.account
        AND u.customer_id = coalesce(i.customer_id, c.customer_id, p.customer_id)
    ORDER BY wanted.position";

/// Lines, with the terms of their price when the invoice was made: a file's word before Stripe's, an event's before
/// what another object carried along, and of each the last one before that time, else the first after it. Each of
/// these is found by the key; a price has a row for every day on which it was seen.
const LINES: &str = "
    SELECT wanted.position, coalesce(l.amount, 0), coalesce(l.quantity, 1), l.proration, l.price_id,
           t.credits, t.unit_amount, t.expire_days
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, kind, id, position)
    JOIN invoices i ON wanted.kind = 'invoice' AND (i.account, i.id) = (wanted.account, wanted.id)
    JOIN invoice_lines l ON (l.account, l.invoice_id) = (i.account, i.id)
    LEFT JOIN LATERAL (
        SELECT found.* FROM (VALUES (1, 'file', true), (2, 'file', false), (3, 'event', true), (4, 'embedded', true),
                                    (5, 'event', false), (6, 'embedded', false)) AS choice (rank, origin, is_before)
        CROSS JOIN LATERAL (
            (SELECT * FROM price_terms p WHERE choice.is_before AND p.account = l.account AND p.price_id = l.price_id
                AND p.origin = choice.origin AND p.since <= coalesce(i.created, '-infinity') ORDER BY p.since DESC LIMIT 1)
            UNION ALL
            (SELECT * FROM price_terms p WHERE NOT choice.is_before AND p.account = l.account AND p.price_id = l.price_id
                AND p.origin = choice.origin AND p.since > coalesce(i.created, '-infinity') ORDER BY p.since LIMIT 1)) AS found
        ORDER BY choice.rank LIMIT 1) AS t ON true
    ORDER BY wanted.position, l.position";

/// Payments of each source, by every shape that links them; a charge only where there is no payment intent.
const PAYMENTS: &str = "
    WITH wanted AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, kind, id, position)),
    link AS (
        SELECT position, w.account, l.payment_intent_id AS pi, l.charge_id AS ch, l.amount_paid AS paid, 1 AS rank
        FROM wanted w JOIN invoice_payments l ON w.kind = 'invoice' AND (l.account, l.invoice_id) = (w.account, w.id)
        UNION ALL SELECT position, w.account, i.payment_intent_id, i.charge_id, NULL, 2
        FROM wanted w JOIN invoices i ON w.kind = 'invoice' AND (i.account, i.id) = (w.account, w.id)
        UNION ALL SELECT position, w.account, p.id, NULL, NULL, 3
        FROM wanted w JOIN payment_intents p ON w.kind = 'invoice' AND (p.account, p.invoice_id) = (w.account, w.id)
        UNION ALL SELECT position, w.account, NULL, c.id, NULL, 4
        FROM wanted w JOIN charges c ON w.kind = 'invoice' AND (c.account, c.invoice_id) = (w.account, w.id)
        UNION ALL SELECT position, w.account, s.payment_intent_id, NULL, NULL, 1
        FROM wanted w JOIN checkout_sessions s ON w.kind = 'checkout.session' AND (s.account, s.id) = (w.account, w.id)
        UNION ALL SELECT position, w.account, w.id, NULL, NULL, 1 FROM wanted w WHERE w.kind = 'payment_intent'),
    payment AS (
        SELECT link.position, link.account, coalesce(link.pi, c.payment_intent_id) AS pi, link.ch, link.paid, link.rank
        FROM link LEFT JOIN charges c ON link.pi IS NULL AND (c.account, c.id) = (link.account, link.ch))
    SELECT DISTINCT ON (payment.position, coalesce(payment.pi, payment.ch))
           payment.position, coalesce(payment.pi, payment.ch) AS id, payment.account, payment.pi IS NOT NULL,
           coalesce(payment.paid, p.amount_received, c.amount_captured)
    FROM payment
    LEFT JOIN payment_intents p ON (p.account, p.id) = (payment.account, payment.pi)
    LEFT JOIN charges c ON payment.pi IS NULL AND (c.account, c.id) = (payment.account, payment.ch)
    WHERE coalesce(payment.pi, payment.ch) IS NOT NULL
    ORDER BY payment.position, coalesce(payment.pi, payment.ch), payment.rank, payment.paid DESC NULLS LAST";

/// Charges, refunds and disputes of payments (`$3`: whether it is a payment intent), in one shape.
const REVERSALS: &str = "
    WITH wanted AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[]) WITH ORDINALITY AS wanted (account, id, is_pi, position)),
    charge AS (
        SELECT w.position, c.* FROM wanted w JOIN charges c ON w.is_pi
            AND (c.account, c.payment_intent_id) = (w.account, w.id)
        UNION ALL SELECT w.position, c.* FROM wanted w JOIN charges c ON NOT w.is_pi AND (c.account, c.id) = (w.account, w.id)),
    refund AS (
        SELECT w.position, r.* FROM wanted w JOIN refunds r ON w.is_pi
            AND (r.account, r.payment_intent_id) = (w.account, w.id)
        UNION SELECT charge.position, r.* FROM charge JOIN refunds r ON (r.account, r.charge_id) = (charge.account, charge.id)
        UNION SELECT w.position, r.* FROM wanted w JOIN refunds r ON NOT w.is_pi AND (r.account, r.charge_id) = (w.account, w.id)),
    dispute AS (
        SELECT w.position, d.* FROM wanted w JOIN disputes d ON w.is_pi
            AND (d.account, d.payment_intent_id) = (w.account, w.id)
        UNION SELECT charge.position, d.* FROM charge JOIN disputes d ON (d.account, d.charge_id) = (charge.account, charge.id)
        UNION SELECT w.position, d.* FROM wanted w JOIN disputes d ON NOT w.is_pi AND (d.account, d.charge_id) = (w.account, w.id))
    SELECT position, 'charge', id, coalesce(amount_refunded, 0), '', extract(epoch FROM event_created)::bigint FROM charge
    UNION ALL SELECT position, 'refund', charge_id, coalesce(amount, 0), coalesce(status, ''),
           extract(epoch FROM event_created)::bigint FROM refund
    UNION ALL SELECT position, 'dispute', NULL, coalesce(amount, 0), coalesce(status, ''), 0 FROM dispute";

/// Facts of sources, in the order of `keys`. They must be locked, and exist.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    keys: &[SourceKey],
) -> Result<Vec<SourceFacts>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = lines(connection, keys).await?;
    let mut payments = payments(connection, keys).await?;
    let rows = of_keys(connection, keys, HEADS).await?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in &rows {
        let position = index(row)?;
        let Some(key) = keys.get(position) else { continue };
        let (lines, line_days) = lines.remove(&position).unwrap_or_default();
        facts.push(head(
            row,
            key,
            lines,
            line_days,
            payments.remove(&position).unwrap_or_default(),
        )?);
    }
    Ok(facts)
}

fn head(
    row: &PgRow,
    key: &SourceKey,
    lines: Vec<Line>,
    line_days: Option<i32>,
    mut payments: Vec<Payment>,
) -> Result<SourceFacts, sqlx::Error> {
    let is_paid = row.try_get::<Option<bool>, _>(1)?.unwrap_or(false);
    let credits: Option<String> = row.try_get(5)?;
    let own_days: Option<String> = row.try_get(6)?;
    let created: Option<i64> = row.try_get(7)?;
    let (team, user): (Option<String>, Option<String>) = (row.try_get(8)?, row.try_get(9)?);
    let (owner_kind, owner_id): (Option<String>, Option<String>) = (row.try_get(11)?, row.try_get(12)?);
    let basis = match key.kind {
        _ if !is_paid => GrantBasis::Nothing,
        SourceKind::Invoice => GrantBasis::Invoice {
            billing_reason: row.try_get::<Option<String>, _>(2)?.unwrap_or_default(),
            complete: row.try_get::<Option<bool>, _>(3)?.unwrap_or(true),
            lines,
        },
        SourceKind::CheckoutSession | SourceKind::PaymentIntent => {
            GrantBasis::TopUp(credits.and_then(|credits| credits.trim().parse().ok()))
        }
    };
    let days = match key.kind {
        SourceKind::Invoice => line_days.map(i64::from),
        _ => own_days
            .and_then(|days| days.trim().parse().ok())
            .filter(|days| *days > 0),
    };
    let amount_paid = row.try_get(4)?;
    payments.sort_by(|a, b| a.facts.id.cmp(&b.facts.id));
    Ok(SourceFacts {
        key: key.clone(),
        source: Source {
            kind: key.kind,
            id: key.id.clone(),
            owner: team.map(Owner::Team).or(user.map(Owner::User)),
            basis,
            amount_paid,
            payments: payments
                .into_iter()
                .map(|payment| PaymentFacts {
                    // Nobody says how much of it: then it paid everything.
                    paid: payment.paid.unwrap_or(amount_paid),
                    ..payment.facts
                })
                .collect(),
        },
        expires_at: created
            .zip(days)
            .map(|(created, days)| created.saturating_add(days.saturating_mul(86_400))),
        problem_before: row.try_get(10)?,
        owner_before: owner_kind
            .zip(owner_id)
            .and_then(|(kind, id)| Owner::new(&kind, id)),
    })
}

/// Lines of each source, and the shortest time its credits last, in days.
type Lines = HashMap<usize, (Vec<Line>, Option<i32>)>;

async fn lines(connection: &mut PgConnection, keys: &[SourceKey]) -> Result<Lines, sqlx::Error> {
    let mut lines = Lines::new();
    for row in of_keys(connection, keys, LINES).await? {
        let credits: Option<i64> = row.try_get(5)?;
        let unit_amount = row.try_get(6)?;
        let days: Option<i32> = row.try_get(7)?;
        let (of_source, shortest) = lines.entry(index(&row)?).or_default();
        *shortest = (*shortest).into_iter().chain(days).min();
        of_source.push(Line {
            amount: row.try_get(1)?,
            quantity: row.try_get(2)?,
            proration: row.try_get(3)?,
            price_id: row.try_get(4)?,
            terms: credits.map(|credits| Terms { credits, unit_amount }),
        });
    }
    Ok(lines)
}

struct Payment {
    account: String,
    is_payment_intent: bool,
    paid: Option<i64>,
    facts: PaymentFacts,
}

async fn payments(
    connection: &mut PgConnection,
    keys: &[SourceKey],
) -> Result<HashMap<usize, Vec<Payment>>, sqlx::Error> {
    let mut payments: Vec<(usize, Payment)> = Vec::new();
    for row in of_keys(connection, keys, PAYMENTS).await? {
        let payment = Payment {
            account: row.try_get(2)?,
            is_payment_intent: row.try_get(3)?,
            paid: row.try_get(4)?,
            facts: PaymentFacts {
                id: row.try_get(1)?,
                ..PaymentFacts::default()
            },
        };
        payments.push((index(&row)?, payment));
    }
    if !payments.is_empty() {
        reversals(connection, &mut payments).await?;
    }
    let mut by_source: HashMap<usize, Vec<Payment>> = HashMap::new();
    for (position, payment) in payments {
        by_source.entry(position).or_default().push(payment);
    }
    Ok(by_source)
}

async fn reversals(
    connection: &mut PgConnection,
    payments: &mut [(usize, Payment)],
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(REVERSALS)
        .bind(column!(payments, payment => payment.1.account.as_str()))
        .bind(column!(payments, payment => payment.1.facts.id.as_str()))
        .bind(column!(payments, payment => payment.1.is_payment_intent))
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some((_, payment)) = payments.get_mut(index(&row)?) else {
            continue;
        };
        let what: String = row.try_get(1)?;
        let (charge_id, amount, status, as_of) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        let facts = &mut payment.facts;
        match what.as_str() {
            "charge" => facts.charges.push(ChargeFacts {
                id: Option::unwrap_or_default(charge_id),
                amount_refunded: amount,
                as_of,
            }),
            "refund" => facts.refunds.push(RefundFacts {
                charge_id,
                amount,
                status,
                as_of,
            }),
            _ => facts.disputes.push(DisputeFacts { amount, status }),
        }
    }
    Ok(())
}

/// What became of the money of one payment intent.
pub(crate) async fn payment(
    connection: &mut PgConnection,
    account: &str,
    id: &str,
) -> Result<PaymentFacts, sqlx::Error> {
    let mut payments = [(
        0,
        Payment {
            account: account.to_owned(),
            is_payment_intent: true,
            paid: None,
            facts: PaymentFacts {
                id: id.to_owned(),
                ..PaymentFacts::default()
            },
        },
    )];
    reversals(connection, &mut payments).await?;
    let [(_, payment)] = payments;
    Ok(payment.facts)
}

async fn of_keys(
    connection: &mut PgConnection,
    keys: &[SourceKey],
    sql: &'static str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let (accounts, kinds, ids) = arrays(keys);
    let query = sqlx::query(sql).bind(accounts).bind(kinds).bind(ids);
    query.fetch_all(connection).await
}

/// The first column of all of these: the position of what was asked for, from 1.
fn index(row: &PgRow) -> Result<usize, sqlx::Error> {
    let position: i64 = row.try_get(0)?;
    Ok(usize::try_from(position - 1).unwrap_or(usize::MAX))
}

upsert! {
    /// Notes what came of sources.
    fn write(row: &(&SourceFacts, &Reckoned)) into "money_sources" key "account, kind, id" {
        "account" "text" = row.0.key.account.as_str();
        "kind" "text" = row.0.key.kind.as_str();
        "id" "text" = row.0.key.id.as_str();
        "owner_kind" "text" = row.0.source.owner.as_ref().map(Owner::kind);
        "owner_id" "text" = row.0.source.owner.as_ref().map(Owner::id);
        "amount_paid" "bigint" = row.0.source.amount_paid;
        "granted" "bigint" = row.1.granted;
        "refunded" "bigint" = row.1.refunded;
        "disputed" "bigint" = row.1.disputed;
        "problem" "text" = row.1.problem.as_ref().map(domain::credits::Problem::as_str);
        "problem_detail" "text" = row.1.problem.as_ref().and_then(domain::credits::Problem::detail);
    }
}

/// Marks sources that have to be looked at once more.
pub(crate) async fn mark(connection: &mut PgConnection, keys: &[&SourceKey]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO marks (account, kind, object_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
    )
    .bind(column!(keys, key => key.account.as_str()))
    .bind(column!(keys, key => key.kind.as_str()))
    .bind(column!(keys, key => key.id.as_str()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks users whose first credits came from a source that names them and nothing else does.
pub(crate) async fn mark_new_owners(
    connection: &mut PgConnection,
    rows: &[(&SourceFacts, &Reckoned)],
) -> Result<(), sqlx::Error> {
    let new = rows.iter().filter_map(|(facts, _)| match &facts.source.owner {
        Some(Owner::User(user)) if facts.owner_before != facts.source.owner => {
            Some((facts.key.account.as_str(), user.as_str()))
        }
        _ => None,
    });
    let (accounts, users): (Vec<&str>, Vec<&str>) = new.unzip();
    if users.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO marks (account, kind, object_id)
         SELECT DISTINCT account, $3, id FROM unnest($1::text[], $2::text[]) AS owner (account, id)
         WHERE NOT EXISTS (SELECT FROM users known WHERE (known.account, known.id) = (owner.account, owner.id))",
    )
    .bind(accounts)
    .bind(users)
    .bind(crate::USER)
    .execute(connection)
    .await?;
    Ok(())
}
