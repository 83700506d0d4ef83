//! Settings: usable, of one world, and read by somebody.

use ingest::{Endpoint, IngestConfig};
use shared::config::{Env, Reader};
use stripe_api::Mode;

use super::finding::{Finding, fail, ok, warn};
use crate::config::{Which, unread};

/// How the secrets begin that Stripe hands out for endpoints.
const ENDPOINT_SECRET: &str = "whsec_";
/// How keys begin that may do everything.
const ALMIGHTY: &str = "sk_";

pub(super) fn examine(roles: &[Which], env: &Env) -> Vec<Finding> {
    let mut findings: Vec<Finding> = roles.iter().map(|role| usable(*role, env)).collect();
    let unread = unread(env);
    findings.push(if unread.is_empty() {
        ok(
            "settings.unread",
            "every variable that begins with TOLLGATE_ is read",
        )
    } else {
        let seen = format!("no role reads {}", unread.join(", "));
        warn(
            "settings.unread",
            seen,
            "mend or remove them: `tollgate worker --help` lists the names",
        )
    });
    let key = Reader::new(env).secret(stripe_api::API_KEY);
    if roles.contains(&Which::Ingest) {
        findings.push(secrets(env));
        let endpoints = IngestConfig::from_env(env).map_or_else(|_| Vec::new(), |config| config.endpoints);
        findings.extend(key.as_deref().and_then(|key| one_world(key, &endpoints)));
    }
    findings.extend(key.as_deref().map(may_little));
    findings
}

fn usable(role: Which, env: &Env) -> Finding {
    let name = format!("settings.{}", role.name());
    match role.configure(env) {
        Ok(()) => ok(&name, "usable"),
        Err(error) => fail(
            &name,
            error.0.join("; "),
            format!(
                "mend what is named; `tollgate {} --help` explains each",
                role.name()
            ),
        ),
    }
}

/// Whether what is set as an endpoint's secret looks like one. Anything may be signed with, so this is no failure.
fn secrets(env: &Env) -> Finding {
    let name = "settings.endpoint_secrets";
    let is_secret = |name: &&str| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        name == "STRIPE_WEBHOOK_SECRET"
            || (name.starts_with("TOLLGATE_ENDPOINT_") && name.ends_with("_SECRET"))
    };
    let odd: Vec<&str> = env
        .names("")
        .filter(is_secret)
        .map(|name| name.strip_suffix("_FILE").unwrap_or(name))
        .filter(|name| {
            let value = Reader::new(env).secret(name).unwrap_or_default();
            value.split(',').any(|word| !word.starts_with(ENDPOINT_SECRET))
        })
        .collect();
    if odd.is_empty() {
        return ok(name, format!("all begin with {ENDPOINT_SECRET}"));
    }
    warn(
        name,
        format!("{} does not begin with {ENDPOINT_SECRET}", odd.join(", ")),
        "copy the endpoint's signing secret from Stripe's Dashboard, not an API key; with another sender this is fine",
    )
}

/// A key of one world and events of the other: nothing that events leave open can be asked.
fn one_world(key: &str, endpoints: &[Endpoint]) -> Option<Finding> {
    let name = "settings.livemode";
    let mode = stripe_api::SecretKey::new(key).ok()?.mode();
    let is_live = mode == Mode::Live;
    let others: Vec<&str> = endpoints
        .iter()
        .filter(|it| it.livemode.is_some_and(|livemode| livemode != is_live))
        .map(|it| &*it.name)
        .collect();
    let world = if is_live { "live" } else { "test" };
    Some(if others.is_empty() {
        ok(
            name,
            format!(
                "{} is a {world} key, and no endpoint is for the other mode only",
                stripe_api::API_KEY
            ),
        )
    } else {
        fail(
            name,
            format!(
                "{} is a {world} key, and these endpoints take the other mode only: {}",
                stripe_api::API_KEY,
                others.join(", ")
            ),
            "use a key and endpoints of one mode; run one installation for each",
        )
    })
}

fn may_little(key: &str) -> Finding {
    let name = "settings.stripe_key";
    if key.starts_with(ALMIGHTY) {
        let seen = "a secret key, which may do everything at Stripe";
        warn(
            name,
            seen,
            "make a restricted key (rk_...): the worker's may only read",
        )
    } else {
        ok(name, "a restricted key")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    type More<'a> = &'a [(&'a str, &'a str)];

    fn verdict(findings: &[Finding], name: &str) -> Option<Verdict> {
        findings.iter().find(|it| it.name == name).map(|it| it.verdict)
    }

    fn found(more: &[(&str, &str)]) -> Vec<Finding> {
        let usual = [
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("STRIPE_WEBHOOK_SECRET", "whsec_a"),
        ];
        let env: Env = usual.into_iter().chain(more.iter().copied()).collect();
        examine(&[Which::Ingest], &env)
    }

    #[test]
    fn each_mistake_is_found_and_none_where_there_is_none() {
        let key = |key| ("STRIPE_API_KEY", key);
        let live = ("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "true");
        let good = found(&[key("rk_live_a"), live]);
        assert!(good.iter().all(|it| it.verdict == Verdict::Ok), "{good:?}");
        let cases: [(&str, Verdict, More<'_>); 5] = [
            ("settings.livemode", Verdict::Fail, &[key("rk_test_a"), live]),
            ("settings.stripe_key", Verdict::Warn, &[key("sk_live_a")]),
            (
                "settings.endpoint_secrets",
                Verdict::Warn,
                &[("STRIPE_WEBHOOK_SECRET", "whsec_a,rk_test_b")],
            ),
            ("settings.unread", Verdict::Warn, &[("TOLLGATE_BACKLOG", "1")]),
            (
                "settings.ingest",
                Verdict::Fail,
                &[("TOLLGATE_BACKLOG_MAX", "many")],
            ),
        ];
        for (name, expected, more) in cases {
            let found = found(more);
            assert_eq!(verdict(&found, name), Some(expected), "{found:?}");
            assert_eq!(
                found.iter().filter(|it| it.verdict != Verdict::Ok).count(),
                1,
                "{found:?}"
            );
        }
    }
}
