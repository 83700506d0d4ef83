-- Why: dashboards of the business want numbers by day, from a login that can see nothing else: no names, no addresses, no
-- ids of customers. See docs/reporting.md.
-- A running older version sees: nothing.

-- Roles belong to the whole cluster: another database may have made it, perhaps at this moment.
DO $$
BEGIN
    CREATE ROLE tollgate_reporting NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tollgate_reporting') THEN
            RAISE EXCEPTION 'the role tollgate_reporting is missing, and may not be made by %', current_user
                USING HINT = 'Let an administrator run CREATE ROLE tollgate_reporting NOLOGIN, and migrate again.';
        END IF;
END $$;
CREATE SCHEMA reporting;

-- The views look with the rights of their owner, who owns the tables, too; so whoever may read a view needs no right to
-- a table, and row-level security does not come into it.
--
-- Days are UTC. For each day that is asked for, a view looks at that day's part of an index that begins with account and
-- time: `WHERE day >= ...` is held against `days` before anything is counted. So a question costs the days it is about,
-- however many others there are.

-- Every account's days, from the first of which anything is known until today. The accounts are found by jumping through
-- the primary key of events: every account has some.
CREATE VIEW reporting.days AS
WITH RECURSIVE accounts AS (
    (SELECT account FROM events ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT e.account FROM events e WHERE e.account > a.account ORDER BY e.account LIMIT 1)
    FROM accounts a WHERE a.account IS NOT NULL
)
SELECT a.account, d.day::date AS day, d.day AT TIME ZONE 'UTC' AS since,
       (d.day + interval '1 day') AT TIME ZONE 'UTC' AS until
FROM accounts a
CROSS JOIN LATERAL (
    SELECT least(
        (SELECT min(received_at) FROM events e WHERE e.account = a.account),
        (SELECT min(created) FROM invoices i WHERE i.account = a.account AND i.status = 'paid'),
        (SELECT min(created) FROM payment_intents p WHERE p.account = a.account),
        (SELECT min(created) FROM checkout_sessions s
         WHERE s.account = a.account AND s.mode = 'payment' AND s.status = 'complete'),
        (SELECT min(created) FROM refunds r WHERE r.account = a.account)
    ) AT TIME ZONE 'UTC' AS first
) AS known
CROSS JOIN LATERAL generate_series(date_trunc('day', known.first), now() AT TIME ZONE 'UTC', interval '1 day') AS d (day)
WHERE a.account IS NOT NULL;

-- Money that was taken and given back, on the day it was: a day that is over stays as it is. (The API's analytics count
-- what came back where it was sold.) A sale is what api_sales counts as one; see 0033.
CREATE VIEW reporting.revenue_daily AS
SELECT d.account, d.day, m.livemode, m.currency, m.payments, m.gross, m.refunds, m.refunded, m.gross - m.refunded AS net
FROM reporting.days d
CROSS JOIN LATERAL (
    SELECT livemode, coalesce(currency, '') AS currency, count(*) FILTER (WHERE is_sale) AS payments,
           coalesce(sum(amount) FILTER (WHERE is_sale), 0)::bigint AS gross, count(*) FILTER (WHERE NOT is_sale) AS refunds,
           coalesce(sum(amount) FILTER (WHERE NOT is_sale), 0)::bigint AS refunded
    FROM (
        SELECT i.livemode, i.currency, i.amount_paid AS amount, true AS is_sale FROM invoices i
        WHERE i.account = d.account AND i.status = 'paid' AND i.created >= d.since AND i.created < d.until
          AND i.amount_paid > 0 AND NOT i.deleted
        UNION ALL
        SELECT s.livemode, s.currency, s.amount_total, true FROM checkout_sessions s
        WHERE s.account = d.account AND s.mode = 'payment' AND s.status = 'complete' AND s.payment_status = 'paid'
          AND s.created >= d.since AND s.created < d.until
        UNION ALL
        SELECT p.livemode, p.currency, p.amount_received, true FROM payment_intents p
        WHERE p.account = d.account AND p.metadata ->> 'credits_source' = 'payment_intent' AND p.status = 'succeeded'
          AND p.created >= d.since AND p.created < d.until
          AND NOT EXISTS (SELECT FROM checkout_sessions s WHERE (s.account, s.payment_intent_id) = (p.account, p.id))
        UNION ALL
        SELECT r.livemode, r.currency, r.amount, false FROM refunds r
        WHERE r.account = d.account AND r.created >= d.since AND r.created < d.until
          AND r.status NOT IN ('failed', 'canceled')
    ) AS moved
    GROUP BY 1, 2
) AS m;

-- Payments by the day they began on: what became of those that somebody tried to pay. One that fails at first and is paid
-- later succeeded.
CREATE VIEW reporting.payments_daily AS
SELECT d.account, d.day, p.livemode, p.currency, p.tried, p.succeeded, p.tried - p.succeeded AS failed,
       round(p.succeeded::numeric / p.tried, 4) AS success_rate, p.amount_succeeded, p.amount_failed
FROM reporting.days d
CROSS JOIN LATERAL (
    SELECT p.livemode, coalesce(p.currency, '') AS currency, count(*) AS tried,
           count(*) FILTER (WHERE p.status = 'succeeded') AS succeeded,
           coalesce(sum(p.amount_received) FILTER (WHERE p.status = 'succeeded'), 0)::bigint AS amount_succeeded,
           coalesce(sum(p.amount) FILTER (WHERE p.status IS DISTINCT FROM 'succeeded'), 0)::bigint AS amount_failed
    FROM payment_intents p
    WHERE p.account = d.account AND p.created >= d.since AND p.created < d.until
      AND (p.status = 'succeeded' OR p.error_code IS NOT NULL)
    GROUP BY 1, 2
) AS p;

-- Subscriptions by month: those that ran when it began, and how many of them ended in it. One whose first payment never
-- came did neither. Every question reads all subscriptions once.
CREATE VIEW reporting.churn_monthly AS
WITH moment AS (
    SELECT account, livemode, created AS at, 1 AS began, 0 AS ended, 0 AS ended_old FROM subscriptions
    WHERE created IS NOT NULL AND status NOT IN ('incomplete', 'incomplete_expired')
    UNION ALL
    SELECT account, livemode, ended_at, 0, 1,
           (created < date_trunc('month', ended_at, 'UTC'))::int
    FROM subscriptions
    WHERE ended_at IS NOT NULL AND created IS NOT NULL AND status NOT IN ('incomplete', 'incomplete_expired')
), by_month AS (
    SELECT account, livemode, date_trunc('month', at AT TIME ZONE 'UTC') AS month, sum(began) AS began,
           sum(ended) AS ended, sum(ended_old) AS ended_old
    FROM moment GROUP BY 1, 2, 3
), every AS (
    SELECT k.account, k.livemode, m.month, coalesce(b.began, 0) AS began, coalesce(b.ended, 0) AS ended,
           coalesce(b.ended_old, 0) AS ended_old
    FROM (SELECT account, livemode, min(month) AS first FROM by_month GROUP BY 1, 2) AS k
    CROSS JOIN LATERAL generate_series(k.first, now() AT TIME ZONE 'UTC', interval '1 month') AS m (month)
    LEFT JOIN by_month b ON (b.account, b.livemode, b.month) = (k.account, k.livemode, m.month)
), running AS (
    SELECT *, sum(began - ended) OVER (PARTITION BY account, livemode ORDER BY month) - began + ended AS at_start FROM every
)
SELECT account, month::date AS month, livemode, at_start::bigint AS active_at_start, began::bigint AS began,
       ended::bigint AS ended, ended_old::bigint AS churned, round(ended_old / nullif(at_start, 0), 4) AS churn_rate
FROM running;

-- Credits that users and teams have now. Every question reads all their balances once.
CREATE VIEW reporting.credits AS
SELECT account, owner_kind, count(*) AS owners, sum(balance)::bigint AS credits, round(avg(balance), 2) AS average,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY balance) AS median, count(*) FILTER (WHERE balance < 0) AS owing
FROM ledger_accounts WHERE owner_kind IN ('user', 'team')
GROUP BY account, owner_kind;

-- Webhooks by the day they were accepted on, and what became of them. What was refused never came in: that is in
-- Prometheus.
CREATE VIEW reporting.webhooks_daily AS
SELECT d.account, d.day, e.livemode, e.received, e.applied, e.ignored, e.parked,
       round((e.applied + e.ignored)::numeric / e.received, 6) AS success_rate, e.average_seconds, e.longest_seconds
FROM reporting.days d
CROSS JOIN LATERAL (
    SELECT e.livemode, count(*) AS received, count(*) FILTER (WHERE e.status = 'applied') AS applied,
           count(*) FILTER (WHERE e.status = 'ignored') AS ignored, count(*) FILTER (WHERE e.status = 'parked') AS parked,
           round(avg(extract(epoch FROM e.settled_at - e.received_at)), 3) AS average_seconds,
           round(max(extract(epoch FROM e.settled_at - e.received_at)), 3) AS longest_seconds
    FROM events e
    WHERE e.account = d.account AND e.received_at >= d.since AND e.received_at < d.until
    GROUP BY 1
) AS e;

-- `days` is for the others only.
GRANT USAGE ON SCHEMA reporting TO tollgate_reporting;
GRANT SELECT ON reporting.revenue_daily, reporting.payments_daily, reporting.churn_monthly, reporting.credits,
    reporting.webhooks_daily TO tollgate_reporting;
