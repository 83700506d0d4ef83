"""Who asks, and about what that is there; loaded by schemathesis."""

import json
import os
import random

import schemathesis
from schemathesis.core.parameters import ParameterLocation

from installation import Installation, token

ROLE = os.environ["FUZZ_ROLE"]
KNOWN = json.loads(os.environ["FUZZ_KNOWN"])
DICE = random.Random(1)
INSTALLATION = Installation(None)
INSTALLATION.url = os.environ["FUZZ_URL"]
# Of these a request has one.
WISHES = {"package": ["credits_1000"], "plan": ["pro", "team"], "topup": [{"amount": 500}, {"amount": 499}]}
# How often something that is there stands in the place of something made up.
SHARE_KNOWN = 0.75
# A user has a rate: as many of them as no rate is felt by.
USERS = 2_000
def subject():
    if ROLE != "user":
        return "ci"
    return DICE.choice(DICE.choice(KNOWN)["user"]) if DICE.random() < 0.3 else f"user_{DICE.randrange(USERS)}"


@schemathesis.auth(refresh_interval=None)
class Somebody:
    """Of users another one each time."""

    def get(self, case, context):
        return token(ROLE, subject())

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Where a request makes sense, it is often about something that is there, and nearly always a new one."""

    def makes_sense(location):
        return case.meta is not None and not case.meta.is_negative_at(location) and DICE.random() < SHARE_KNOWN

    # Things of one user, so that they belong together.
    past = DICE.choice(KNOWN)
    if makes_sense(ParameterLocation.PATH):
        for name in case.path_parameters or {}:
            case.path_parameters[name] = DICE.choice(past.get(name) or sum(past.values(), []))
    if makes_sense(ParameterLocation.HEADER) and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"key-{DICE.getrandbits(64)}"
    if makes_sense(ParameterLocation.BODY) and isinstance(case.body, dict):
        wishes = [name for name in WISHES if name in case.body]
        for name in wishes[1:]:
            del case.body[name]
        for name in wishes[:1]:
            case.body[name] = DICE.choice(WISHES[name])


@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["FUZZ_CALLS"], "a") as calls:
        calls.write(f"{ROLE}\t{case.operation.label}\t{response.status_code}\n")
    # Who can take billing off has done so, and nothing more would be asked of the rest.
    if case.operation.path.endswith("/switches/billing") and response.status_code == 200 and case.method != "GET":
        put = {"on": True, "reason": "for the rest of the test"}
        INSTALLATION.must(case.method, case.operation.path, put, who=token("admin", "ci"))
