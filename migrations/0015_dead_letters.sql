-- Why: what was set aside has to be found, grouped, run again or discarded, by people and also when there are a million.
-- A row's key was the id of its entry in Redis, which is not unique: two streams, or one that was emptied, give the same
-- id twice, and the later letter took the place of the earlier. The key is now the event, or a hash of what cannot be
-- read as one. See ADR 19.
-- A running older version sees: that it cannot set events aside any more. A chunk with such an event waits, with its
-- lease, until a newer worker takes it over; everything else goes on. It does not start again.
-- This rewrites parked_events, which is small: each of its rows waits for a person.

ALTER TABLE parked_events
    ADD COLUMN id text,                             -- the event's; of what is no event, a hash
    ADD COLUMN state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'replayed', 'discarded')),
    ADD COLUMN replays integer NOT NULL DEFAULT 0,  -- how often it was run again
    ADD COLUMN changed_at timestamptz,              -- when it was last run again or discarded
    -- What ingest knew of it, beside the body.
    ADD COLUMN endpoint text,
    ADD COLUMN received_at timestamptz,
    ADD COLUMN mismatch text;
UPDATE parked_events p
SET account = coalesce(account, ''),
    id = CASE WHEN entry IS NULL AND NOT EXISTS (
                  SELECT FROM parked_events q WHERE (q.account, q.event_id) = (p.account, p.event_id) AND q.entry IS NULL
                  AND q.entry_id > p.entry_id)
              THEN event_id ELSE 'entry:' || entry_id END;
ALTER TABLE parked_events DROP CONSTRAINT parked_events_pkey;
ALTER TABLE parked_events ALTER COLUMN account SET NOT NULL, ALTER COLUMN id SET NOT NULL, ADD PRIMARY KEY (account, id);
UPDATE schema_compatibility SET oldest_migration = greatest(oldest_migration, 15);

DROP INDEX parked_events_fingerprint;
CREATE INDEX parked_events_time ON parked_events (account, state, parked_at, id);
CREATE INDEX parked_events_group ON parked_events (account, state, fingerprint, parked_at, id);

-- How many there are of each cause, kept by whoever changes that: a list of causes must not count a million rows.
CREATE TABLE dead_groups (
    account     text   NOT NULL,
    state       text   NOT NULL,
    fingerprint text   NOT NULL,
    class       text   NOT NULL,
    reason      text   NOT NULL,
    event_type  text,
    letters     bigint NOT NULL,
    PRIMARY KEY (account, state, fingerprint)
)
WITH (fillfactor = 50);
INSERT INTO dead_groups (account, state, fingerprint, class, reason, event_type, letters)
SELECT account, state, fingerprint, min(class), min(reason), min(event_type), count(*)
FROM parked_events GROUP BY account, state, fingerprint;

-- Rows are locked in the order of the key, so that two who set events aside never wait for each other in a circle.
CREATE FUNCTION dead_groups_keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dead_groups AS g (account, state, fingerprint, class, reason, event_type, letters)
        SELECT account, state, fingerprint, min(class), min(reason), min(event_type), count(*)
        FROM new_rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (account, state, fingerprint) DO UPDATE SET letters = g.letters + EXCLUDED.letters;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO dead_groups AS g (account, state, fingerprint, class, reason, event_type, letters)
        SELECT account, state, fingerprint, min(class), min(reason), min(event_type), sum(n)
        FROM (SELECT account, state, fingerprint, class, reason, event_type, 1 AS n FROM new_rows
              UNION ALL SELECT account, state, fingerprint, class, reason, event_type, -1 FROM old_rows) AS changes
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0 ORDER BY 1, 2, 3
        ON CONFLICT (account, state, fingerprint) DO UPDATE SET letters = g.letters + EXCLUDED.letters;
    ELSE
        INSERT INTO dead_groups AS g (account, state, fingerprint, class, reason, event_type, letters)
        SELECT account, state, fingerprint, min(class), min(reason), min(event_type), -count(*)
        FROM old_rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (account, state, fingerprint) DO UPDATE SET letters = g.letters + EXCLUDED.letters;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_groups_insert AFTER INSERT ON parked_events REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION dead_groups_keep();
CREATE TRIGGER dead_groups_update AFTER UPDATE ON parked_events REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION dead_groups_keep();
CREATE TRIGGER dead_groups_delete AFTER DELETE ON parked_events REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION dead_groups_keep();

-- What is to become of dead letters, as somebody asked for it; a worker carries it out, one at a time.
CREATE TABLE dead_jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text        NOT NULL,
    deed         text        NOT NULL CHECK (deed IN ('replay', 'discard')),
    -- Which: those that fit all that is said.
    of_state     text        NOT NULL CHECK (of_state IN ('waiting', 'discarded')),
    ids          text[]      NOT NULL,              -- none is all
    fingerprint  text,
    event_type   text,
    reason       text,
    since        timestamptz,                       -- parked from then on
    until        timestamptz NOT NULL,              -- parked before; at the latest when the job was made, so it ends
    rate         integer     CHECK (rate > 0),      -- letters a second, at most
    why          text        NOT NULL CHECK (why <> ''),
    actor        text        NOT NULL,
    counted      bigint      NOT NULL,              -- how many there were when it was made
    -- How far it is; moved in the transaction that does the deed.
    done         bigint      NOT NULL DEFAULT 0,    -- run again, or discarded
    failed       bigint      NOT NULL DEFAULT 0,    -- run again, and set aside again
    skipped      bigint      NOT NULL DEFAULT 0,    -- somebody else was quicker
    after_at     timestamptz,                       -- the last one that was looked at
    after_id     text,
    state        text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'stopped')),
    attempts     integer     NOT NULL DEFAULT 0,    -- how often the next letters were begun with
    lease        text,                              -- whose it is, until then
    leased_until timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    CHECK ((state = 'open') = (finished_at IS NULL))
)
WITH (fillfactor = 50);
CREATE INDEX dead_jobs_open ON dead_jobs (id) WHERE state = 'open';

-- What a job did with each letter.
CREATE TABLE dead_deeds (
    account   text        NOT NULL,
    letter_id text        NOT NULL,
    job_id    bigint      NOT NULL REFERENCES dead_jobs (id),
    outcome   text        NOT NULL CHECK (outcome IN ('applied', 'ignored', 'parked', 'duplicate', 'discarded')),
    done_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, letter_id, job_id)
);

-- The application and its staff see how things came about; what could not even be read is for staff, and so is deciding
-- what becomes of it.
DROP POLICY api ON parked_events;
CREATE POLICY api ON parked_events FOR SELECT TO tollgate_api
    USING (actor_role(account) = 'admin' OR (actor_sees_all(account) AND event_id IS NOT NULL));
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['dead_groups', 'dead_jobs', 'dead_deeds'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY api ON %I FOR SELECT TO tollgate_api USING (actor_sees_all(account))', name);
        EXECUTE format('CREATE POLICY others ON %I USING ((SELECT NOT pg_has_role(current_user, ''tollgate_api'', ''USAGE'')))',
                       name);
        EXECUTE format('GRANT SELECT ON %I TO tollgate_api', name);
    END LOOP;
END $$;
CREATE POLICY api_asks ON dead_jobs FOR INSERT TO tollgate_api WITH CHECK (actor_role(account) = 'admin');
GRANT INSERT ON dead_jobs TO tollgate_api;
