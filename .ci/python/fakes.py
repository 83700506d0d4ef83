"""What `.ci/fakes` asserts: the binary, Node, where emulate was installed, and perhaps which fake."""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from installation import Installation, fetch, wait_for

KEY = {"Authorization": "Bearer sk_test_fake"}
PRICES = {"pro": "price_fake_pro", "team": "price_fake_team", "credits_1000": "price_fake_1000"}
CATALOGUE = {
    "plan": [
        {"name": name, "price": PRICES[name], "credits": 2000, "unit_amount": 2000, "currency": "usd", "interval": "month"}
        for name in ("pro", "team")
    ],
    "package": [
        {"name": "credits_1000", "price": PRICES["credits_1000"], "credits": 1000, "unit_amount": 1000, "currency": "usd"}
    ],
}
# Requests for one user that come at once.
CROWD = 10


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Fake:
    """A program that plays Stripe. Ends with the `with`."""

    def __init__(self, command, port, log):
        self.url, self.command, self.log = f"http://127.0.0.1:{port}", command, log

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        wait_for(self.command[0], self.answers)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self):
        if self.process.poll() is not None:
            raise SystemExit(f"{self.command} has ended:\n{open(self.log.name).read()}")
        try:
            return self.get("/v1/customers") is not None
        except OSError:
            return False

    def get(self, path):
        status, text = fetch("GET", self.url + path, headers=KEY)
        return json.loads(text) if status == 200 else None

    def installation(self, binary, work):
        catalogue = Path(work, "catalogue.json")
        catalogue.write_text(json.dumps(CATALOGUE))
        settings = {"STRIPE_API_KEY": "sk_test_fake", "TOLLGATE_STRIPE_API_URL": self.url}
        return Installation(binary, **settings), catalogue


def same(what, seen, expected):
    if seen != expected:
        raise SystemExit(f"{what}: {seen}, not {expected}")
    print(f"  {what}: {seen}")


def first_customer(here, there, path, body, user, status=200):
    """Many ask at once for somebody new: there is one customer, and it says whose it is."""
    answers = []
    crowd = [
        threading.Thread(target=lambda: answers.append(here.ask("POST", f"/v1/users/{user}/{path}", body)))
        for _ in range(CROWD)
    ]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    same("answers to a crowd", sorted({status for status, _ in answers}), [status])
    ours = [it for it in there.get("/v1/customers?limit=100")["data"] if it["metadata"].get("user_id") == user]
    same("customers made of it", len(ours), 1)
    same("it names our intent", "tollgate_intent" in ours[0]["metadata"], True)
    return ours[0]["id"], [answer for _, answer in answers]


def emulate(binary, node, work, log):
    port = free_port()
    prices = [
        {"id": price, "product_name": "credits", "currency": "usd", "unit_amount": 1000} for price in PRICES.values()
    ]
    seed = Path(work, "seed.yaml")
    # JSON is YAML.
    seed.write_text(json.dumps({"stripe": {"products": [{"name": "credits"}], "prices": prices}}))
    script = Path(work, "node_modules/emulate/dist/index.js")
    words = [node, str(script), "start", "--service", "stripe", "--port", str(port), "--seed", str(seed)]
    with Fake(words, port, log) as there:
        installation, catalogue = there.installation(binary, work)
        with installation as here:
            here.run("catalog", "apply", str(catalogue))
            customer, sessions = first_customer(here, there, "checkout-sessions", {"plan": "pro"}, "ann")
            same("sessions of it", len({it["id"] for it in sessions}), 1)
            shown = there.get(f"/v1/checkout/sessions/{sessions[0]['id']}")
            same("the session", [shown["mode"], shown["status"]], ["subscription", "open"])
            same("is of the customer", shown["customer"], customer)
            same("says whose it is", shown["metadata"].get("user_id"), "ann")
            other = here.must("POST", "/v1/users/ann/checkout-sessions", {"plan": "team"})
            same("another plan is another session", other["id"] != sessions[0]["id"], True)
            first = there.get(f"/v1/checkout/sessions/{sessions[0]['id']}")
            same("and ends the first", first["status"], "expired")
            package = here.must("POST", "/v1/users/ann/checkout-sessions", {"package": "credits_1000"}, key="one")
            again = here.must("POST", "/v1/users/ann/checkout-sessions", {"package": "credits_1000"}, key="one")
            same("a key is one session", again["id"], package["id"])
            payment = here.must("POST", "/v1/users/ann/payment-intents", {"package": "credits_1000"})
            shown = there.get(f"/v1/payment_intents/{payment['id']}")
            same("a payment intent", [int(shown["amount"]), shown["currency"]], [1000, "usd"])


def localstripe(binary, _node, work, log):
    port = free_port()
    # Its own command listens on all addresses.
    serve = f"from aiohttp import web; from localstripe.server import app; web.run_app(app, host='127.0.0.1', port={port})"
    with Fake([sys.executable, "-c", serve], port, log) as there:
        installation, catalogue = there.installation(binary, work)
        with installation as here:
            here.run("catalog", "apply", str(catalogue))
            # It knows neither checkout nor our parameters of a payment: only the customer is made, and its refusal is told.
            _, answers = first_customer(here, there, "payment-intents", {"package": "credits_1000"}, "ann", status=502)
            same("what it does not know", {it["code"] for it in answers}, {"stripe_refused"})
            status, answer = here.ask("POST", "/v1/users/ann/checkout-sessions", {"plan": "pro"})
            same("nor this", [status, answer["code"]], [502, "stripe_refused"])
            same("customers after all of it", len(there.get("/v1/customers")["data"]), 1)


FAKES = {"emulate": emulate, "localstripe": localstripe}


def main():
    binary, node, work, *wanted = sys.argv[1:]
    with open(Path(work, "fake.log"), "w+") as log:
        for name in wanted or FAKES:
            print(f"{name}:")
            began = time.monotonic()
            FAKES[name](binary, node, work, log)
            print(f"  as it should, in {time.monotonic() - began:.0f} s")


main()
