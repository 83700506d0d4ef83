-- Why: whoever spends holds a user's account until the commit, and asked in between whose credits a spend may have taken.
-- Now the spend says so itself. Asked after the account is locked: who joined a team while it waited counts.
-- A running older version sees: nothing, the function is new.
CREATE FUNCTION api_spend_from(_account text, _user text, _credits bigint, _key text, _reason text)
RETURNS TABLE (outcome text, available bigint, teams text[]) LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    SELECT s.outcome, s.available INTO outcome, available FROM api_spend(_account, _user, _credits, _key, _reason) AS s;
    teams := ARRAY(SELECT m.team_id FROM team_members m WHERE (m.account, m.user_id) = (_account, _user));
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION api_spend_from(text, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_spend_from(text, text, bigint, text, text) TO tollgate_api;
