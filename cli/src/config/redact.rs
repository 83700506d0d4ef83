//! What may be shown of a setting. Pure. In doubt nothing is.

use shared::config::Setting;

/// What stands for what is not shown.
const HIDDEN: &str = "***";
/// Beginnings of Stripe's secrets, which say what they are for.
const KINDS: [&str; 5] = ["whsec_", "sk_live_", "sk_test_", "rk_live_", "rk_test_"];

/// Whether a setting may be in a file: those are the secrets.
pub(super) fn is_secret(setting: &Setting) -> bool {
    setting.about.contains("_FILE")
}

/// A value as it may be seen.
pub(super) fn shown(setting: &Setting, value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => url(scheme, rest),
        _ if is_secret(setting) => secret(value),
        _ => value.to_owned(),
    }
}

/// Without who logs in: whatever is before the last `@`, because a password may contain all that divides an URL.
fn url(scheme: &str, rest: &str) -> String {
    let (login, place) = match rest.rsplit_once('@') {
        Some((_, place)) => (format!("{HIDDEN}@"), place),
        None => (String::new(), rest),
    };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(pair)
        .collect();
    let query = if pairs.is_empty() { "" } else { "?" };
    format!("{scheme}://{login}{place}{query}{}", pairs.join("&"))
}

fn pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if !name.to_ascii_lowercase().contains("pass") => format!("{name}={value}"),
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None => pair.to_owned(),
    }
}

/// Of each of several its kind and how long it is: enough to see that it was pasted whole.
fn secret(value: &str) -> String {
    let of_one = |word: &str| {
        let kind = KINDS
            .into_iter()
            .find(|kind| word.starts_with(kind))
            .unwrap_or("");
        format!("{kind}{HIDDEN} ({} characters)", word.chars().count())
    };
    value.split(',').map(of_one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Setting = Setting {
        name: "S",
        default: "none",
        about: "a secret; or S_FILE",
    };
    const PLAIN: Setting = Setting {
        name: "P",
        default: "none",
        about: "no secret",
    };

    #[test]
    fn no_secret_is_shown() {
        let cases = [
            (
                SECRET,
                "whsec_canary,canary",
                "whsec_*** (12 characters), *** (6 characters)",
            ),
            (SECRET, "rk_live_canary", "rk_live_*** (14 characters)"),
            (SECRET, "redis://canary:can/ary@a:1/0", "redis://***@a:1/0"),
            (SECRET, "redis://a:1", "redis://a:1"),
            (
                SECRET,
                "postgres://u:can@ary@h/db?sslmode=require&password=canary",
                "postgres://***@h/db?sslmode=require&password=***",
            ),
            (PLAIN, "http://u:canary@h", "http://***@h"),
            (PLAIN, "8", "8"),
        ];
        for (setting, value, expected) in cases {
            let shown = shown(&setting, value);
            assert_eq!(shown, expected);
            assert!(!shown.contains("canary") && !shown.contains("ary@"), "{shown}");
        }
    }

    #[test]
    fn what_is_read_as_a_secret_says_that_it_may_be_in_a_file() {
        let secrets = [
            "REDIS_URL",
            "DATABASE_URL",
            "STRIPE_WEBHOOK_SECRET",
            "TOLLGATE_ENDPOINT_<NAME>_SECRET",
            "TOLLGATE_ENDPOINT_<NAME>_TOKEN",
            "STRIPE_API_KEY",
            "TOLLGATE_API_JWT_SECRET",
        ];
        let all: Vec<&Setting> = super::super::Which::ALL
            .into_iter()
            .flat_map(super::super::Which::settings)
            .collect();
        for name in secrets {
            let settings: Vec<_> = all.iter().filter(|setting| setting.name == name).collect();
            assert!(
                !settings.is_empty() && settings.iter().all(|it| is_secret(it)),
                "{name}"
            );
        }
    }
}
