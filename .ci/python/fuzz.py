"""What `.ci/fuzz-api` does: fills an installation with something to ask about, and asks as everybody."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

from installation import Installation, fetch, wait_for

ROLES = ["admin", "service", "user"]
METHODS = {"get", "post", "put", "patch", "delete"}
# Users with a past: what they paid can be given back.
BUYERS = 8


def buy(here, user):
    """A paid session, a payment begun, credits held and spent, a place in a team."""
    base = f"/v1/users/{user}"
    session = here.must("POST", f"{base}/checkout-sessions", {"package": "credits_1000"})
    status, _ = fetch("POST", session["url"], b"action=pay")
    if status != 303:
        raise SystemExit(f"paying: {status}")
    path = f"{base}/checkout-sessions/{session['id']}"
    paid = wait_for("a payment", lambda: here.must("GET", path)["payment_id"])
    wait_for("its credits", lambda: here.must("GET", f"{base}/credits")["available"] > 0)
    begun = here.must("POST", f"{base}/payment-intents", {"package": "credits_1000"})
    here.must("POST", f"{base}/credits/spend", {"credits": 1})
    held = here.must("POST", f"{base}/credits/reservations", {"credits": 1})
    # By the names that paths have for them; whoever is asked about by a user may be themselves.
    return {"user": [user, "me"], "session": [session["id"]], "payment": [paid, begun["id"]], "id": [held["id"]]}


def operations(description):
    return {
        f"{method.upper()} {path}"
        for path, item in description["paths"].items()
        for method in item
        if method in METHODS
    }


def main():
    binary, work, *options = sys.argv[1:]
    calls = Path(work, "calls")
    with Installation(binary) as here:
        known = [buy(here, f"fuzz_{number}") for number in range(BUYERS)]
        failed = []
        for role in ROLES:
            print(f"== as {role}", flush=True)
            words = [
                str(Path(sys.executable).with_name("schemathesis")), "run", f"{here.url}/openapi.json", "--url", here.url,
                # A refusal of a request that makes sense (402, 409) is an answer, too.
                "--exclude-checks", "positive_data_acceptance", "--no-color", *options,
            ]
            env = {
                **os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks",
                "FUZZ_ROLE": role, "FUZZ_KNOWN": json.dumps(known), "FUZZ_CALLS": str(calls),
                "FUZZ_URL": here.url,
            }
            if subprocess.run(words, env=env, cwd=work).returncode != 0:
                failed.append(role)
        _, text = fetch("GET", f"{here.url}/openapi.json")
    status = report(operations(json.loads(text)), calls)
    if failed:
        print(f"failed as {', '.join(failed)}")
    sys.exit(1 if failed else status)


def report(wanted, calls):
    """Says how each operation was answered. Each must have been asked as everybody."""
    answers = collections.defaultdict(collections.Counter)
    asked = collections.defaultdict(set)
    for line in calls.read_text().splitlines():
        role, operation, status = line.split("\t")
        answers[operation][int(status)] += 1
        asked[operation].add(role)
    for operation in sorted(wanted):
        counts = answers[operation]
        good = "" if any(status < 300 for status in counts) else "  (only refusals)"
        print(f"  {operation:75} " + " ".join(f"{it}:{counts[it]}" for it in sorted(counts)) + good)
    missing = [f"{it} as {role}" for it in sorted(wanted) for role in ROLES if role not in asked[it]]
    for it in missing:
        print(f"never asked: {it}")
    return 1 if missing else 0


main()
