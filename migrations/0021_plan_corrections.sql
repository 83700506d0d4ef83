-- Why: now and then what a user should have and what Stripe says differ, and a person knows better: paid by other
-- means, a plan by contract, a mistake on its way through the bank. See ADR 18.
-- A running older version sees: columns and a table it does not write. A worker of it reckons users without their
-- corrections: correct plans after the last one is gone.

-- What a person said a user's plan is, whatever Stripe says; of a user, one stands.
CREATE TABLE plan_corrections (
    account    text        NOT NULL,
    id         text        NOT NULL,                -- cor_...
    key        text        NOT NULL,                -- the request's, so that the same request corrects once
    user_id    text        NOT NULL,
    plan       text,                                -- by its name in the catalogue; NULL: none at all
    price_id   text,                                -- what the catalogue named so then
    until      timestamptz,                         -- NULL: until it is withdrawn
    reason     text        NOT NULL CHECK (reason <> ''),
    made_by    text        NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    ended_how  text CHECK (ended_how IN ('withdrawn', 'replaced', 'over')),
    ended_by   text,                                -- who withdrew or replaced it
    end_reason text,                                -- why it was withdrawn
    PRIMARY KEY (account, id),
    UNIQUE (account, key),
    CHECK ((plan IS NULL) = (price_id IS NULL)),
    CHECK ((ended_at IS NULL) = (ended_how IS NULL))
);
CREATE UNIQUE INDEX plan_corrections_standing ON plan_corrections (account, user_id) WHERE ended_at IS NULL;
CREATE INDEX plan_corrections_user ON plan_corrections (account, user_id, made_at);
CREATE INDEX plan_corrections_until ON plan_corrections (until) WHERE ended_at IS NULL AND until IS NOT NULL;
ALTER TABLE plan_corrections ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON plan_corrections TO tollgate_api USING (actor_may_act_for(account, user_id));
CREATE POLICY others ON plan_corrections USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON plan_corrections TO tollgate_api;

-- Where the user stands by Stripe's word alone, NULL when nothing was corrected, and the correction in force. Like the
-- state itself they are the reckoner's to write.
ALTER TABLE users ADD COLUMN told_state text;
ALTER TABLE users ADD COLUMN correction_id text;

-- Corrects a plan, once for each key, in place of the correction that stands. Outcomes: corrected, repeated.
CREATE FUNCTION api_correct_plan(_account text, _user text, _id text, _key text, _plan text, _price text,
                                 _until timestamptz, _reason text, _by text)
RETURNS TABLE (outcome text, id text) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF actor_role(_account) IS DISTINCT FROM 'admin' THEN
        RAISE EXCEPTION 'only staff may correct a plan' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(':', 'correction', _account, _user), 0));
    SELECT c.id INTO id FROM plan_corrections c WHERE (c.account, c.key) = (_account, _key);
    outcome := 'repeated';
    IF id IS NULL THEN
        UPDATE plan_corrections c SET ended_at = clock_timestamp(), ended_how = 'replaced', ended_by = _by
        WHERE (c.account, c.user_id) = (_account, _user) AND c.ended_at IS NULL;
        INSERT INTO plan_corrections (account, id, key, user_id, plan, price_id, until, reason, made_by)
        VALUES (_account, _id, _key, _user, _plan, _price, _until, _reason, _by);
        INSERT INTO marks (account, kind, object_id) VALUES (_account, 'user', _user);
        outcome := 'corrected';
        id := _id;
    END IF;
    RETURN NEXT;
END $$;

-- Withdraws a correction. Outcomes: withdrawn, repeated (it had been), over (it ended otherwise), unknown.
CREATE FUNCTION api_withdraw_correction(_account text, _user text, _id text, _reason text, _by text)
RETURNS TABLE (outcome text) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    it plan_corrections;
BEGIN
    IF actor_role(_account) IS DISTINCT FROM 'admin' THEN
        RAISE EXCEPTION 'only staff may correct a plan' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO it FROM plan_corrections c WHERE (c.account, c.id, c.user_id) = (_account, _id, _user) FOR UPDATE;
    outcome := CASE
        WHEN it.id IS NULL THEN 'unknown'
        WHEN it.ended_how = 'withdrawn' THEN 'repeated'
        WHEN it.ended_at IS NOT NULL THEN 'over'
        ELSE 'withdrawn' END;
    IF outcome = 'withdrawn' THEN
        UPDATE plan_corrections c
        SET ended_at = clock_timestamp(), ended_how = 'withdrawn', ended_by = _by, end_reason = _reason
        WHERE (c.account, c.id) = (_account, _id);
        INSERT INTO marks (account, kind, object_id) VALUES (_account, 'user', _user);
    END IF;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION api_correct_plan(text, text, text, text, text, text, timestamptz, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION api_withdraw_correction(text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_correct_plan(text, text, text, text, text, text, timestamptz, text, text),
    api_withdraw_correction(text, text, text, text, text) TO tollgate_api;
