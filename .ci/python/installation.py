"""A `tollgate dev` to talk to, for scripts; nothing beyond Python's own library."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# Longest until what webhooks bring is there.
WAIT_SECONDS = 60
SECRET, ISSUER, AUDIENCE = "of scripts only: thirty-two bytes", "tollgate-ci", "tollgate"


def token(role, subject):
    """A token of somebody, good for a day."""

    def part(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "exp": int(time.time()) + 86_400}
    text = b".".join(part(json.dumps(it).encode()) for it in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + part(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())).decode()


def fetch(method, url, body=None, headers=()):
    """Status and text of an answer. Redirects are answers, too."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Installation:
    """Everything, with a Redis and a Postgres of its own. Ends with the `with`."""

    def __init__(self, binary, **settings):
        self.binary, self.settings = binary, settings

    def __enter__(self):
        ours = {
            "TOLLGATE_API_JWT_SECRET": SECRET,
            "TOLLGATE_API_JWT_ISSUER": ISSUER,
            "TOLLGATE_API_JWT_AUDIENCE": AUDIENCE,
            "TOLLGATE_API_TOPUP_CREDITS_PER_100": "100",
            "TOLLGATE_API_SUCCESS_URL": "http://localhost/shop?session={CHECKOUT_SESSION_ID}",
            "TOLLGATE_API_CANCEL_URL": "http://localhost/shop",
            "TOLLGATE_API_PORTAL_RETURN_URL": "http://localhost/shop",
        }
        self.log = tempfile.NamedTemporaryFile(suffix=".log")
        self.process = subprocess.Popen(
            [self.binary, "dev", "--json", "--no-demo", "--workers", "1"],
            env={**os.environ, **ours, **self.settings}, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise SystemExit(f"tollgate dev does not start:\n{open(self.log.name).read()}")
        self.ready = json.loads(line)
        self.url = self.ready["api_url"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, method, path, body=None, who=token("service", "ci"), key=None):
        """Status and JSON of what the API answers."""
        headers = {"Authorization": f"Bearer {who}", "Content-Type": "application/json"}
        if method != "GET":
            headers["Idempotency-Key"] = key or secrets.token_hex(8)
        data = None if body is None else json.dumps(body).encode()
        status, text = fetch(method, self.url + path, data, headers)
        return status, json.loads(text) if text else None

    def must(self, method, path, body=None, **more):
        """The same, where it has to be answered well."""
        status, answer = self.ask(method, path, body, **more)
        if status != 200:
            raise SystemExit(f"{method} {path}: {status} {answer}")
        return answer

    def run(self, *words):
        """Runs the program on this installation's database."""
        env = {**os.environ, "DATABASE_URL": self.ready["database_url"], "REDIS_URL": self.ready["redis_url"]}
        subprocess.run([self.binary, *words], env=env, check=True, stdout=subprocess.DEVNULL)


def wait_for(what, ask):
    """Asks until the answer is something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"waited in vain for {what}")
