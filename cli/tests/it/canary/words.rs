//! Words that are nowhere but in what the canary test sends. Each stands for something that no log, metric or error may
//! repeat.

pub const EMAIL: &str = "vogelsang@canary.test";
pub const NAME: &str = "Kanaria Vogelsang";
pub const PHONE: &str = "+49 30 5550147";
pub const STREET: &str = "Singvogelgasse 17";
pub const CARD: &str = "4000056655665556";
pub const LAST4: &str = "l4kn";
pub const FINGERPRINT: &str = "KanariaFingerprint";
pub const CLIENT_SECRET: &str = "pi_1_secret_Kanaria";
pub const NOTE: &str = "kanaria-note";
pub const WEBHOOK_SECRET: &str = "whsec_KanariaWebhook";
pub const OTHER_SECRET: &str = "whsec_KanariaOther";
pub const API_KEY: &str = "sk_test_KanariaKey";
pub const JWT_SECRET: &str = "kanaria-jwt-secret-of-32-bytes-and-more";
pub const ENDPOINT_TOKEN: &str = "KanariaEndpointTokenOf22";
pub const COLLECTOR_TOKEN: &str = "KanariaCollectorToken";
pub const DATABASE_PASSWORD: &str = "KanariaDatabase";
pub const REDIS_PASSWORD: &str = "KanariaRedis";

const ALL: [&str; 17] = [
    EMAIL,
    NAME,
    PHONE,
    STREET,
    CARD,
    LAST4,
    FINGERPRINT,
    CLIENT_SECRET,
    NOTE,
    WEBHOOK_SECRET,
    OTHER_SECRET,
    API_KEY,
    JWT_SECRET,
    ENDPOINT_TOKEN,
    COLLECTOR_TOKEN,
    DATABASE_PASSWORD,
    REDIS_PASSWORD,
];

/// What of it is in a text, each with its line.
pub fn found_in(text: &str) -> Vec<(&'static str, &str)> {
    let found = ALL
        .iter()
        .filter_map(|word| Some((*word, crate::support::leaks::around(text, text.find(word)?))));
    found.collect()
}

/// Nothing of it is in a text, and nothing else that looks like a secret.
pub fn assert_none(place: &str, text: &str) {
    let found = found_in(text);
    assert!(found.is_empty(), "{place}: {found:#?}");
    let leak = crate::support::leaks::first_in(text);
    assert!(leak.is_none(), "{place}: {leak:?}");
}
