//! What must hold in any database, whatever happened.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use store::Store;

use super::Rig;

/// From now on the database itself refuses what must never happen at any moment, not only in the end.
const GUARDS: &str = "
    CREATE FUNCTION test_never_back() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.terminal AND NOT NEW.terminal THEN
            RAISE EXCEPTION 'terminal regression of % %', OLD.kind, OLD.id USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER test_never_back BEFORE UPDATE ON objects FOR EACH ROW EXECUTE FUNCTION test_never_back();
    CREATE FUNCTION test_never_alive() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a subscription that ended came back: %', OLD.subscription_id USING ERRCODE = 'check_violation';
    END $$;
    CREATE TRIGGER test_never_alive BEFORE UPDATE ON subscription_states FOR EACH ROW
        WHEN (OLD.status IN ('canceled', 'incomplete_expired')
              AND NEW.status NOT IN ('canceled', 'incomplete_expired'))
        EXECUTE FUNCTION test_never_alive();";

/// Each says what is wrong, a row per finding.
const LAWS: [(&str, &str); 10] = [
    (
        "a balance is the sum of its transfers",
        "SELECT a.owner_id || ' has ' || a.balance FROM ledger_accounts a
         WHERE a.balance <> (SELECT coalesce(sum(e.amount), 0) FROM ledger_entries e WHERE e.ledger_account_id = a.id)",
    ),
    (
        "all balances together are zero",
        "SELECT sum(balance)::text FROM ledger_accounts HAVING sum(balance) <> 0",
    ),
    (
        "one owner has a grant, and never less than nothing of it",
        "SELECT key || ': ' || array_agg(owner_id || ' ' || credits)::text FROM (
             SELECT e.key, a.owner_id, sum(e.amount) AS credits FROM ledger_entries e
             JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
             WHERE e.kind IN ('grant', 'topup') GROUP BY 1, 2) AS held
         WHERE credits <> 0 GROUP BY key HAVING count(*) > 1 OR min(credits) < 0",
    ),
    (
        "grants are what is written down for their source",
        "SELECT m.kind || ' ' || m.id || ': ' || m.granted || ' and ' || held.credits FROM money_sources m
         JOIN LATERAL (SELECT coalesce(sum(e.amount), 0) AS credits FROM ledger_entries e
             JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
             WHERE (e.account, e.source_kind, e.source_id) = (m.account, m.kind, m.id)
               AND e.kind IN ('grant', 'topup')) AS held ON true
         WHERE held.credits <> m.granted",
    ),
    (
        "debits are what is written down for their source",
        "SELECT m.kind || ' ' || m.id || ': ' || m.refunded + m.disputed || ' and ' || held.credits
         FROM money_sources m
         JOIN LATERAL (SELECT coalesce(-sum(e.amount), 0) AS credits FROM ledger_entries e
             JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
             WHERE (e.account, e.source_kind, e.source_id) = (m.account, m.kind, m.id)
               AND e.kind IN ('refund', 'dispute')) AS held ON true
         WHERE held.credits <> m.refunded + m.disputed",
    ),
    (
        "nothing is granted for what was not paid",
        "SELECT m.kind || ' ' || m.id FROM money_sources m
         LEFT JOIN invoices i ON m.kind = 'invoice' AND (i.account, i.id) = (m.account, m.id)
         LEFT JOIN checkout_sessions s ON m.kind = 'checkout.session' AND (s.account, s.id) = (m.account, m.id)
         LEFT JOIN payment_intents p ON m.kind = 'payment_intent' AND (p.account, p.id) = (m.account, m.id)
         WHERE m.granted <> 0 AND coalesce(i.status = 'paid',
             s.status = 'complete' AND s.payment_status <> 'unpaid', p.status = 'succeeded') IS NOT TRUE",
    ),
    (
        "the world hears of every credit that moves",
        "SELECT key || ': told ' || coalesce(told, 0) || ', moved ' || coalesce(moved, 0) FROM (
             SELECT data ->> 'key' AS key, sum((data ->> 'credits')::bigint) AS told FROM outbox
             WHERE type LIKE 'credits.%' GROUP BY 1) AS told
         FULL JOIN (
             SELECT e.key, sum(e.amount) AS moved FROM ledger_entries e
             JOIN ledger_accounts a ON a.id = e.ledger_account_id AND a.owner_kind <> 'platform'
             GROUP BY 1) AS moved USING (key)
         WHERE told IS DISTINCT FROM moved",
    ),
    (
        "the world hears of every step of a user, in a chain without gaps",
        "SELECT u.id || ': ' || u.state || ', told ' || coalesce(told.words, 'nothing') FROM users u
         LEFT JOIN (
             SELECT subject_id, count(*) AS steps, max(number) AS last, bool_and(chained) AS chained,
                 (array_agg(reached ORDER BY number DESC))[1] AS reached,
                 string_agg(came || '>' || reached, ' ' ORDER BY number) AS words
             FROM (
                 SELECT subject_id, number, came, reached,
                     came = coalesce(lag(reached) OVER (PARTITION BY subject_id ORDER BY number), 'no_subscriptionfalse')
                         AS chained
                 FROM (
                     SELECT subject_id, split_part(key, ':', 3)::bigint AS number,
                         (data ->> 'from') || (data ->> 'entitled_before') AS came,
                         (data ->> 'to') || (data ->> 'entitled') AS reached
                     FROM outbox WHERE type = 'user.state_changed') AS steps) AS steps
             GROUP BY subject_id) AS told ON told.subject_id = u.id
         WHERE coalesce(told.steps, 0) <> u.changes OR coalesce(told.last, 0) <> u.changes
            OR NOT coalesce(told.chained, true)
            OR coalesce(told.reached, 'no_subscriptionfalse') <> u.state || u.entitled::text",
    ),
    (
        "a terminal event is never forgotten",
        "SELECT o.kind || ' ' || o.id FROM objects o WHERE NOT o.terminal AND EXISTS (
             SELECT FROM events e WHERE (e.account, e.object_id) = (o.account, o.id) AND e.object_type = o.kind
               AND e.status = 'applied'
               AND (e.type IN ('customer.subscription.deleted', 'invoice.paid', 'invoice.voided',
                   'payment_intent.succeeded', 'payment_intent.canceled', 'customer.deleted')))",
    ),
    (
        "no mark is left",
        "SELECT kind || ' ' || object_id || ' ' || coalesce(trouble, '') FROM marks",
    ),
];

pub async fn guard(rig: &Rig) {
    rig.execute(GUARDS).await;
}

/// All findings, or nothing.
pub async fn findings(rig: &Rig) -> Vec<String> {
    let mut findings = Vec::new();
    for (law, sql) in LAWS {
        let sql = format!("SELECT * FROM ({sql}) AS findings (finding) ORDER BY 1 LIMIT 5");
        let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&rig.pool)
            .await
            .expect(law);
        findings.extend(found.into_iter().map(|finding| format!("{law}: {finding}")));
    }
    findings
}

/// Everything reckoned, in words that do not depend on the way: what two databases must agree on.
pub async fn state(store: &Store) -> Value {
    store.state("").await.expect("readable")
}

/// The words of `expected` that `found` does not say, as lines to read.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let lines = differing(expected, found).into_iter();
    lines.map(|Difference { line, .. }| line).collect()
}

/// Something that is not as it should be.
pub struct Difference {
    pub word: String,
    /// Of the row; empty when the whole word is wrong.
    pub id: String,
    /// All of it, to read.
    pub line: String,
}

/// The same, one by one.
pub fn differing(expected: &Value, found: &Value) -> Vec<Difference> {
    let nothing = json!({});
    let mut differing = Vec::new();
    let mut tell = |word: &str, id: &str, line| {
        differing.push(Difference {
            word: word.to_owned(),
            id: id.to_owned(),
            line,
        });
    };
    for (word, expected) in expected.as_object().expect("words") {
        let found = found.get(word).unwrap_or(&nothing);
        let (expected, found) = (expected.as_object(), found.as_object());
        let (Some(expected), Some(found)) = (expected, found) else {
            tell(word, "", format!("{word}: {found:?} instead of {expected:?}"));
            continue;
        };
        for id in expected
            .keys()
            .chain(found.keys().filter(|id| !expected.contains_key(*id)))
        {
            if expected.get(id) != found.get(id) {
                let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                let (found, expected) = (show(found.get(id)), show(expected.get(id)));
                tell(word, id, format!("{word} {id}: {found} instead of {expected}"));
            }
        }
    }
    differing
}
