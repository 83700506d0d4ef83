//! What no log may hold. Every process a test starts is searched for it when the test is over (see
//! [`process`](super::process)); the `canary` test sends it everywhere on purpose.

/// What secrets and tokens begin with, ours and the simulator's. A word has to follow: `whsec_...` in a help text is none.
const BEGINNINGS: [&str; 9] = [
    "whsec_",
    "sk_test_",
    "sk_live_",
    "rk_test_",
    "rk_live_",
    "_secret_",
    "Bearer ",
    "eyJ",
    "://tollgate:",
];
/// Letters of a word that make it one.
const WORD_LETTERS_MIN: usize = 4;
/// `tollgate_ingest_secret_used_total` is no secret.
const END_OF_A_METRIC: &str = "used_total";
/// The domains of everybody's addresses, in tests and in the simulator.
const DOMAINS: [&str; 2] = ["@example.com", "@canary.test"];

/// The first thing in a text that should not be there, with a little of what is around it.
pub fn first_in(text: &str) -> Option<&str> {
    let secret = |beginning: &&str| {
        let places = text.match_indices(*beginning);
        places
            .map(|(at, found)| (at, at + found.len()))
            .find(|(_, end)| is_word(&text[*end..]))
            .map(|(at, _)| at)
    };
    let at = BEGINNINGS
        .iter()
        .find_map(secret)
        .or_else(|| DOMAINS.iter().find_map(|domain| text.find(domain)))?;
    Some(around(text, at))
}

fn is_word(text: &str) -> bool {
    let letters = text
        .chars()
        .take_while(|it| it.is_ascii_alphanumeric() || *it == '_');
    letters.count() >= WORD_LETTERS_MIN && !text.starts_with(END_OF_A_METRIC)
}

/// The line.
pub fn around(text: &str, at: usize) -> &str {
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    &text[begin..end]
}

#[test]
fn secrets_are_told_from_what_is_said_about_them() {
    for leak in [
        "key sk_test_1234 refused",
        "a\npi_1_secret_abcd\nb",
        "someone@example.com",
        "authorization: Bearer abcdef",
    ] {
        assert!(first_in(leak).is_some(), "{leak}");
    }
    assert_eq!(first_in("a\npi_1_secret_abcd\nb"), Some("pi_1_secret_abcd"));
    for harmless in [
        "signing secret (`whsec_...`)",
        "tollgate_ingest_secret_used_total",
        "sk_test_ or rk_test_ keys",
    ] {
        assert_eq!(first_in(harmless), None, "{harmless}");
    }
}
