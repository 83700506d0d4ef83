//! The parameters of a request, in its query or its body: `created[gte]=1&types[]=a&types[]=b`, percent-encoded or not.

/// Names and values in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(pairs.map(pair).collect())
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The same parameters in an order of their own: what says the same is equal.
    pub(crate) fn sorted(&self) -> Vec<(String, String)> {
        let mut pairs = self.0.clone();
        pairs.sort();
        pairs
    }

    /// The values of `types[]`, `types[0]`, `types[1]`, ...
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| {
            known
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'))
                .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
        });
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// `+` is a space, `%5B` a bracket. What is no valid escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high * 16 + low);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query =
            Query::parse("payment%5Btype%5D=payment_intent&payment[payment_intent]=pi_1&a=b+c%2&empty&x=%zz");
        assert_eq!(query.get("payment[type]"), Some("payment_intent"));
        assert_eq!(query.get("payment[payment_intent]"), Some("pi_1"));
        assert_eq!(query.get("a"), Some("b c%2"));
        assert_eq!(query.get("empty"), Some(""));
        assert_eq!(query.get("x"), Some("%zz"));
        assert_eq!(query.get("y"), None);
    }

    #[test]
    fn lists_come_with_and_without_an_index() {
        let query = Query::parse("types[]=a&types%5B1%5D=b&types=c&types[x]=d");
        assert_eq!(query.list("types"), ["a", "b"]);
    }
}
