//! What is in a payload, who somebody is, and what is secret, is told nowhere: not in a log at its most talkative, not in a
//! metric, not in an error. Everything is sent through every door on purpose, and everything that was said is searched.

mod bodies;
mod words;

use bytes::Bytes;
use hyper::Request;
use shared::clock::Clock;
use shared::config::Env;
use shared::signature::SIGNATURE_HEADER;
use sqlx::AssertSqlSafe;

use crate::api::operations::Operation;
use crate::api::street::Till;
use crate::api::{AUDIENCE, ISSUER};
use crate::support::process::Tollgate;
use crate::support::{Rig, http, unique, wait_for};
use words::assert_none;

/// The most that docs/logs-and-traces.md says may be asked for.
const TALKATIVE: &str =
    "debug,ingest=trace,worker=trace,api=trace,shared=trace,store=trace,stripe_api=trace,domain=trace";
/// Objects that Postgres refuses, saying why.
const REFUSING: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.id LIKE '%0' THEN RAISE EXCEPTION 'not \"%\"', NEW.email; END IF;
        IF NEW.id LIKE '%1' THEN PERFORM NEW.email::integer; END IF;
        IF NEW.id LIKE '%2' THEN PERFORM NEW.name::timestamptz; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION refuse()";

/// All three roles, with secrets that are canaries.
struct Roles {
    ingest: Tollgate,
    worker: Tollgate,
    api: Tollgate,
    webhook_url: String,
    api_url: String,
}

fn settings(till: &Till) -> Env {
    let more = [
        ("TOLLGATE_LOG", TALKATIVE),
        ("STRIPE_WEBHOOK_SECRET", words::WEBHOOK_SECRET),
        ("TOLLGATE_ENDPOINT_OTHER_SECRET", words::OTHER_SECRET),
        ("TOLLGATE_ENDPOINT_OTHER_TOKEN", words::ENDPOINT_TOKEN),
        ("TOLLGATE_API_ADDR", "127.0.0.1:0"),
        ("TOLLGATE_API_ADMIN_ADDR", "127.0.0.1:0"),
        ("TOLLGATE_API_JWT_ISSUER", ISSUER),
        ("TOLLGATE_API_JWT_AUDIENCE", AUDIENCE),
        // Nobody listens: what cannot be sent is not told either.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let headers = format!("authorization=Bearer%20{}", words::COLLECTOR_TOKEN);
    let settings = till.settings();
    let secrets = [
        ("STRIPE_API_KEY", words::API_KEY),
        ("TOLLGATE_API_JWT_SECRET", words::JWT_SECRET),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
    ];
    let all = more.iter().chain(&settings).chain(&secrets);
    all.fold(till.rig.env(), |env, (name, value)| env.with(name, value))
}

impl Roles {
    async fn start(env: &Env) -> Self {
        let mut roles = ["ingest", "worker", "api"].map(|role| Tollgate::start(&[role], env));
        let mut addresses = Vec::new();
        for (role, process) in ["ingest", "worker", "api"].iter().zip(&mut roles) {
            if *role != "worker" {
                addresses.push(process.logged("listening", "address").await);
            }
        }
        let [ingest, worker, api] = roles;
        Self {
            ingest,
            worker,
            api,
            webhook_url: format!("http://{}/webhooks/stripe", addresses[0]),
            api_url: format!("http://{}", addresses[1]),
        }
    }

    /// Nothing of it is in what a role wrote or measured, and it wrote enough to be sure.
    async fn search(self) {
        for (name, mut role) in [
            ("ingest", self.ingest),
            ("worker", self.worker),
            ("api", self.api),
        ] {
            let admin = role.admin_url().await;
            for page in ["metrics", "readyz"] {
                let (_, page) = http::get(&format!("{admin}/{page}")).await.expect("an answer");
                assert_none(name, &page);
            }
            search(name, &role);
        }
    }
}

fn search(name: &str, role: &Tollgate) {
    let log = role.stderr();
    assert!(log.lines().count() > 100, "{name} says too little: {log}");
    assert!(log.contains(r#""level":"DEBUG""#), "{name} is not talkative");
    assert_none(name, &log);
    assert_none(name, &role.stdout());
}

/// An answer that is no success; a success may show callers what is theirs.
fn check(named: &str, answer: &hyper::Response<Bytes>) {
    let said = format!(
        "{:?} {}",
        answer.headers(),
        String::from_utf8_lossy(answer.body())
    );
    if !answer.status().is_success() {
        assert_none(named, &said);
    }
}

async fn send(named: &str, request: hyper::http::request::Builder, body: Bytes) {
    let answer = http::exchange(request, body).await;
    check(named, &answer.unwrap_or_else(|| panic!("{named}: no answer")));
}

/// Every way to be accepted or refused.
async fn knock_at_ingest(url: &str) {
    for body in bodies::events() {
        let signature = http::signature(words::WEBHOOK_SECRET, &body);
        assert_eq!(http::post(url, &signature, &body).await, 200);
    }
    for body in bodies::no_events() {
        for secret in [words::WEBHOOK_SECRET, "whsec_wrong"] {
            let signed = Request::post(url).header(SIGNATURE_HEADER, http::signature(secret, &body));
            send("ingest", signed.header("traceparent", words::EMAIL), body.clone()).await;
        }
        send("ingest", Request::post(url), body.clone()).await;
        let header = Request::post(url).header(SIGNATURE_HEADER, words::WEBHOOK_SECRET);
        send("ingest", header, body.clone()).await;
        let header =
            Request::post(url).header(SIGNATURE_HEADER, format!("t={},v1={}", words::CARD, words::LAST4));
        send("ingest", header.header("user-agent", words::EMAIL), body).await;
    }
    for path in [
        format!("{url}/other/{}x", words::ENDPOINT_TOKEN),
        format!("{url}/{}", words::EMAIL),
        format!("{url}?email={}", words::EMAIL),
    ] {
        send("ingest", Request::post(&path), Bytes::new()).await;
        send("ingest", Request::get(&path), Bytes::new()).await;
    }
    let large = Bytes::from(words::EMAIL.repeat(300_000));
    let signed = Request::post(url).header(SIGNATURE_HEADER, http::signature(words::WEBHOOK_SECRET, &large));
    // Whether the answer is read before the connection ends is not what is tested here.
    http::exchange(signed, large).await;
}

/// Every operation, by everybody, with canaries for every name and member.
async fn ask_the_api(url: &str) {
    let token = |role, subject| {
        let exp = Clock::system().unix_seconds() + 600;
        let token = api::Token {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: subject,
            role,
            exp,
        };
        token.sign(&api::TokenKey::new(words::JWT_SECRET.as_bytes()))
    };
    let mut tokens = ["user", "service", "admin"].map(|role| token(role, words::EMAIL));
    tokens[0].push('x');
    let tokens = tokens
        .into_iter()
        .chain([token("user", words::EMAIL), words::EMAIL.to_owned()]);
    let tokens: Vec<String> = tokens.collect();
    for operation in Operation::all() {
        let named = operation.named();
        let path = operation.path_with(|_| words::EMAIL.to_owned());
        let query = format!(
            "{path}?limit={0}&since={0}&after={0}&user={0}&type={0}",
            words::EMAIL
        );
        for (number, body) in bodies::requests(operation.body.as_ref()).into_iter().enumerate() {
            let token = &tokens[number % tokens.len()];
            for path in [&path, &query] {
                let request = Request::builder()
                    .method(operation.method.clone())
                    .uri(format!("{url}{path}"))
                    .header("content-type", "application/json")
                    .header("authorization", format!("Bearer {token}"))
                    .header("idempotency-key", format!("{}-{}", words::EMAIL, unique()))
                    .header("traceparent", words::EMAIL);
                send(&named, request, Bytes::from(body.clone())).await;
            }
        }
    }
    for path in ["/nothing", "/v1/users", "/v1/events/"] {
        send(
            "no route",
            Request::get(format!("{url}{path}{}", words::EMAIL)),
            Bytes::new(),
        )
        .await;
    }
}

/// What the queue may hold that ingest did not put there.
async fn put_into_the_queue(rig: &Rig) {
    for fields in bodies::strangers() {
        let fields: Vec<(&str, &[u8])> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        rig.xadd(&fields).await;
    }
}

/// What people and programs are told of dead letters: words, and a body only where it is asked for.
async fn search_what_is_kept(rig: &Rig) {
    let details = "SELECT string_agg(concat_ws(' ', reason, detail, fingerprint), E'\\n') FROM parked_events";
    let details: Option<String> = sqlx::query_scalar(AssertSqlSafe(details.to_owned()))
        .fetch_one(&rig.pool)
        .await
        .expect("rows");
    let details = details.expect("something was set aside");
    for reason in ["unreadable_object", "rejected_by_database", "malformed_entry"] {
        assert!(details.contains(reason), "{reason} was not tried");
    }
    assert_none("dead letters", &details);
    let env = rig.env();
    for args in [
        &["dead", "list", "--groups"][..],
        &["dead", "list", "--json", "--limit", "500"],
        &["events", "list", "--json"],
        &["events", "show", "evt_canary_0"],
        &["dead", "show", "evt_none"],
    ] {
        let ended = Tollgate::run(args, &env).await;
        assert_none(&args.join(" "), &format!("{}\n{}", ended.stdout, ended.stderr));
    }
}

/// Commands and roles that cannot start say which setting is wrong, and not what is in it.
async fn set_everything_wrongly(rig: &Rig) {
    let database = format!(
        "postgres://someone:{}@127.0.0.1:1/nothing",
        words::DATABASE_PASSWORD
    );
    let redis = format!("redis://someone:{}@127.0.0.1:1", words::REDIS_PASSWORD);
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("DATABASE_URL", words::DATABASE_PASSWORD),
        ("REDIS_URL", &redis),
        ("REDIS_URL", words::REDIS_PASSWORD),
        ("STRIPE_WEBHOOK_SECRET", words::EMAIL),
        ("STRIPE_API_KEY", words::NAME),
        ("TOLLGATE_API_JWT_SECRET", words::LAST4),
        ("TOLLGATE_ENDPOINT_OTHER_TOKEN", words::FINGERPRINT),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://KanariaCollectorToken@c"),
    ];
    for (name, value) in settings {
        let env = rig.env_with(&[(name, value)]);
        for args in [
            &["migrate"][..],
            &["dead", "list"],
            &["state", "user", "ann"],
            &["idle", "--timeout", "1"],
        ] {
            let ended = Tollgate::run(args, &env).await;
            assert_none(name, &format!("{}\n{}", ended.stdout, ended.stderr));
        }
        for role in ["ingest", "worker", "api"] {
            let process = Tollgate::start(&[role], &env.clone().with("TOLLGATE_LOG", TALKATIVE));
            let has_spoken = wait_for(async || !process.stderr().is_empty()).await;
            assert!(has_spoken, "{role} says nothing of {name}");
            assert_none(name, &format!("{}\n{}", process.stdout(), process.stderr()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_payload_nobody_and_no_secret_is_told() {
    let till = Till::open().await;
    till.rig.execute(REFUSING).await;
    let roles = Roles::start(&settings(&till)).await;
    knock_at_ingest(&roles.webhook_url).await;
    put_into_the_queue(&till.rig).await;
    ask_the_api(&roles.api_url).await;
    till.rig.wait_until_drained().await;
    search_what_is_kept(&till.rig).await;
    roles.search().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_and_not_shown() {
    let rig = Rig::new().await;
    set_everything_wrongly(&rig).await;
}
