-- Why: of the CPU a spend takes in Postgres, a quarter went into planning its statements anew each time: their arrays of
-- accounts look dearer to a plan that is kept than they are. All of them look rows up by key; one plan does for all.
-- A running older version sees: the same function.
ALTER FUNCTION spend_credits(text, text, bigint, text, text) SET plan_cache_mode = force_generic_plan;
