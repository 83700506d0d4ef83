//! Reading the endpoints: a family of settings whose names carry the endpoint's name.

use std::collections::BTreeSet;

use shared::config::Reader;
use shared::signature::Secret;

use crate::endpoint::{Accounts, DEFAULT_ENDPOINT, Endpoint, Token};

const DEFAULT_SECRET: &str = "STRIPE_WEBHOOK_SECRET";
const PREFIX: &str = "TOLLGATE_ENDPOINT_";
const DEFAULT_NAME: &str = "DEFAULT";
/// What may follow the endpoint's name.
const SUFFIXES: [&str; 6] = [
    "SECRET_FILE",
    "SECRET",
    "LIVEMODE",
    "ACCOUNTS",
    "TOKEN_FILE",
    "TOKEN",
];

/// Rolling needs two, an emergency during a roll three; each costs one HMAC per bad request.
const SECRETS_MAX: usize = 8;
/// An endpoint is a label value in several metrics.
const ENDPOINTS_MAX: usize = 64;
/// Longest name.
const NAME_BYTES_MAX: usize = 48;
/// Most connected accounts of one endpoint; who has more wants `any`.
const ACCOUNTS_MAX: usize = 10_000;

/// Every endpoint, the default one first.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Endpoint> {
    let mut names = declared(reader);
    if is_set(reader, DEFAULT_SECRET) || names.is_empty() {
        names.insert(DEFAULT_NAME);
    }
    if names.len() > ENDPOINTS_MAX {
        reader.problem(format!("more than {ENDPOINTS_MAX} endpoints"));
    }
    let mut endpoints: Vec<Endpoint> = names.into_iter().map(|name| endpoint(reader, name)).collect();
    endpoints.sort_by_key(|endpoint| endpoint.name != DEFAULT_ENDPOINT);
    endpoints
}

/// The names of endpoints of which any setting exists, even an empty one: that is a setting somebody
/// forgot to fill in.
fn declared<'a>(reader: &mut Reader<'a>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for variable in reader.env().names(PREFIX) {
        match name_in(variable) {
            Ok((DEFAULT_NAME, "SECRET" | "SECRET_FILE")) => {
                reader.problem(format!(
                    "{variable}: the default endpoint's secret is {DEFAULT_SECRET}"
                ));
            }
            Ok((name, _)) => {
                names.insert(name);
            }
            Err(problem) => reader.problem(format!("{variable} {problem}")),
        }
    }
    names
}

fn is_set(reader: &Reader<'_>, secret: &str) -> bool {
    let file = format!("{secret}_FILE");
    reader
        .env()
        .names(secret)
        .any(|name| name == secret || name == file)
}

/// Splits a variable into the endpoint's name and what is set.
fn name_in(variable: &str) -> Result<(&str, &'static str), String> {
    let rest = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let found = SUFFIXES.iter().find_map(|suffix| {
        let name = rest.strip_suffix(suffix)?.strip_suffix('_')?;
        Some((name, *suffix))
    });
    let Some((name, suffix)) = found else {
        let (name, last) = rest.rsplit_once('_').unwrap_or(("<NAME>", rest));
        let known = SUFFIXES.map(|suffix| format!("{PREFIX}{name}_{suffix}"));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = shared::suggest::hint(&format!("{PREFIX}{name}_{last}"), &known);
        return Err(format!("is no setting{hint}"));
    };
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let usable = name.bytes().all(plain)
        && (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('_')
        && !name.ends_with('_');
    if usable {
        Ok((name, suffix))
    } else {
        Err(format!(
            "has an unusable endpoint name: use up to {NAME_BYTES_MAX} capitals, digits and inner `_`"
        ))
    }
}

fn endpoint(reader: &mut Reader<'_>, name: &str) -> Endpoint {
    let setting = |suffix: &str| format!("{PREFIX}{name}_{suffix}");
    let secret = if name == DEFAULT_NAME {
        DEFAULT_SECRET.to_owned()
    } else {
        setting("SECRET")
    };
    Endpoint {
        name: name.to_ascii_lowercase().replace('_', "-"),
        secrets: secrets(reader, &secret),
        livemode: reader.optional(&setting("LIVEMODE")),
        accounts: accounts(reader, &setting("ACCOUNTS")),
        token: token(reader, &setting("TOKEN")),
    }
}

/// A comma-separated list. Nothing is trimmed: a changed key would refuse every event.
fn secrets(reader: &mut Reader<'_>, name: &str) -> Vec<Secret> {
    let Some(text) = reader.secret(name) else {
        // Both forms set, or an unreadable file, has been reported already.
        if reader.env().get(name).is_none() && reader.env().get(&format!("{name}_FILE")).is_none() {
            reader.problem(format!("{name} is not set (nor {name}_FILE)"));
        }
        return Vec::new();
    };
    let mut secrets: Vec<Secret> = Vec::new();
    for (index, word) in text.split(',').enumerate() {
        match Secret::new(word) {
            Ok(secret) if secrets.contains(&secret) => {
                reader.problem(format!("{name}: secret {} is there twice", index + 1));
            }
            Ok(secret) => secrets.push(secret),
            Err(error) => reader.problem(format!("{name}: secret {}: {error}", index + 1)),
        }
    }
    if secrets.len() > SECRETS_MAX {
        reader.problem(format!("{name}: more than {SECRETS_MAX} secrets"));
    }
    secrets
}

fn accounts(reader: &mut Reader<'_>, name: &str) -> Accounts {
    let Some(text) = reader.env().get(name) else {
        return Accounts::default();
    };
    if text == "any" {
        return Accounts::Any;
    }
    let mut platform = false;
    let mut connected = BTreeSet::new();
    for word in text.split(',') {
        match word {
            "platform" => platform = true,
            _ if is_account(word) => {
                connected.insert(word.to_owned());
            }
            "any" => reader.problem(format!("{name}: `any` stands alone")),
            _ => reader.problem(format!(
                "{name}: `{word}` is neither `platform` nor `any` nor an account (`acct_...`)"
            )),
        }
    }
    if connected.len() > ACCOUNTS_MAX {
        reader.problem(format!("{name}: more than {ACCOUNTS_MAX} accounts; use `any`"));
    }
    Accounts::Only { platform, connected }
}

fn is_account(word: &str) -> bool {
    word.strip_prefix("acct_")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn token(reader: &mut Reader<'_>, name: &str) -> Option<Token> {
    let text = reader.secret(name)?;
    match Token::new(text) {
        Ok(token) => Some(token),
        Err(error) => {
            reader.problem(format!("{name}: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::IngestConfig;
    use super::super::tests::{env, problems};
    use super::*;

    #[test]
    fn a_rolling_default_and_a_connect_endpoint() {
        let env = env()
            .with("STRIPE_WEBHOOK_SECRET", "whsec_new,whsec_old")
            .with("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "true")
            .with("TOLLGATE_ENDPOINT_CONNECT_EU_SECRET", "whsec_c")
            .with("TOLLGATE_ENDPOINT_CONNECT_EU_ACCOUNTS", "acct_1,platform")
            .with("TOLLGATE_ENDPOINT_CONNECT_EU_TOKEN", "0123456789abcdefghijkl");
        let endpoints = IngestConfig::from_env(&env).expect("usable").endpoints;
        let [default, connect] = &endpoints[..] else {
            panic!("two endpoints: {endpoints:?}")
        };
        assert_eq!(default.name, "default");
        assert_eq!(default.secrets.len(), 2);
        assert_eq!(default.livemode, Some(true));
        assert_eq!(default.accounts, Accounts::default());
        assert_eq!(connect.path(), "/webhooks/stripe/connect-eu");
        assert_eq!(connect.livemode, None);
        assert!(connect.token.is_some());
        let expected = Accounts::Only {
            platform: true,
            connected: ["acct_1".to_owned()].into(),
        };
        assert_eq!(connect.accounts, expected);
    }

    #[test]
    fn the_default_endpoint_may_be_missing_when_another_is_there() {
        let env = [
            ("REDIS_URL", "redis://localhost"),
            ("TOLLGATE_ENDPOINT_A_SECRET", "whsec_a"),
        ];
        let config = IngestConfig::from_env(&env.into_iter().collect()).expect("usable");
        assert_eq!(config.endpoints.len(), 1);
        assert_eq!(config.endpoints[0].name, "a");
    }

    /// Name, value, and what the one problem says.
    const MISTAKES: [(&str, &str, &str); 17] = [
        ("STRIPE_WEBHOOK_SECRET", "", "STRIPE_WEBHOOK_SECRET is not set"),
        ("STRIPE_WEBHOOK_SECRET", " ", "secret 1: the secret is empty"),
        (
            "STRIPE_WEBHOOK_SECRET",
            "whsec_a,",
            "secret 2: the secret is empty",
        ),
        (
            "STRIPE_WEBHOOK_SECRET",
            "whsec_a, whsec_b",
            "secret 2: the secret contains white space",
        ),
        (
            "STRIPE_WEBHOOK_SECRET",
            "whsec_a,whsec_a",
            "secret 2 is there twice",
        ),
        (
            "STRIPE_WEBHOOK_SECRET",
            "a,b,c,d,e,f,g,h,i",
            "more than 8 secrets",
        ),
        ("STRIPE_WEBHOOK_SECRET_FILE", "/nowhere", "both set"),
        (
            "TOLLGATE_ENDPOINT_DEFAULT_SECRET",
            "whsec_a",
            "is STRIPE_WEBHOOK_SECRET",
        ),
        ("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "yes", "LIVEMODE"),
        (
            "TOLLGATE_ENDPOINT_DEFAULT_ACCOUNTS",
            "acct_1,me",
            "`me` is neither",
        ),
        (
            "TOLLGATE_ENDPOINT_DEFAULT_ACCOUNTS",
            "any,acct_1",
            "`any` stands alone",
        ),
        ("TOLLGATE_ENDPOINT_DEFAULT_TOKEN", "short", "22 to 256"),
        (
            "TOLLGATE_ENDPOINT_EU_LIVEMODE",
            "true",
            "TOLLGATE_ENDPOINT_EU_SECRET is not set",
        ),
        (
            "TOLLGATE_ENDPOINT_EU_SECRET",
            "",
            "TOLLGATE_ENDPOINT_EU_SECRET is not set",
        ),
        (
            "TOLLGATE_ENDPOINT_EU_SECRETS",
            "whsec_a",
            "did you mean TOLLGATE_ENDPOINT_EU_SECRET?",
        ),
        ("TOLLGATE_ENDPOINT_SECRET", "whsec_a", "is no setting"),
        ("TOLLGATE_ENDPOINT_eu_SECRET", "whsec_a", "unusable endpoint name"),
    ];

    #[test]
    fn mistakes_are_named() {
        for (name, value, expected) in MISTAKES {
            let problems = problems(&env().with(name, value));
            assert_eq!(problems.len(), 1, "{name}={value}: {problems:#?}");
            assert!(problems[0].contains(expected), "{name}={value}: {problems:#?}");
        }
    }

    #[test]
    fn no_problem_repeats_a_secret() {
        let env = env()
            .with("STRIPE_WEBHOOK_SECRET", "whsec_hidden whsec_hidden2")
            .with("TOLLGATE_ENDPOINT_DEFAULT_TOKEN", "whsec_hidden3");
        assert!(!problems(&env).join("\n").contains("hidden"));
    }
}
