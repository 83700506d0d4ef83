//! Taking values out of what libraries say about them. serde and Postgres repeat what they could not read, and what they
//! could not read may be anybody's name; what is left says which member or type it was about.

use std::any::Any;

/// Stands where a value was.
const GONE: char = '…';
/// What stands before names of our own, in serde's messages and axum's.
const BEFORE_NAMES: [&str; 7] = [
    "missing field ",
    "duplicate field ",
    "expected ",
    "one of ",
    ", ",
    " or ",
    "to a ",
];

/// The text without what is in quotes or backticks, but for names of members and types, and without anything that has an
/// `@` in it.
#[must_use]
pub fn without_values(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(at);
        told.push_str(before);
        let (quote, inside) = quoted.split_at(1);
        let end = end_of(inside, quote);
        if quote == "`" && BEFORE_NAMES.iter().any(|it| told.ends_with(it)) {
            told.extend([quote, &inside[..end], quote]);
        } else {
            told.push_str(quote);
            told.push(GONE);
            told.push_str(quote);
        }
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    told.push_str(rest);
    without_addresses(&told)
}

/// What a panic may be told as: what stands in our own source, which is a literal as it is, and of a message made for the
/// occasion what comes before its first value.
#[must_use]
pub fn panic(panic: &(dyn Any + 'static)) -> String {
    if let Some(literal) = panic.downcast_ref::<&'static str>() {
        return (*literal).to_owned();
    }
    let made = panic
        .downcast_ref::<String>()
        .map_or("no message", String::as_str);
    let end = made.find([':', '"', '`', '\'', '(']).unwrap_or(made.len());
    let literal = made[..end].trim_end();
    if end == made.len() {
        without_addresses(literal)
    } else {
        format!("{}{GONE}", without_addresses(literal))
    }
}

/// Where a quote ends: not at one that is escaped. Where none ends it, everything is inside.
fn end_of(inside: &str, quote: &str) -> usize {
    let mut from = 0;
    while let Some(at) = inside[from..].find(quote).map(|at| from + at) {
        let escapes = inside[..at].bytes().rev().take_while(|it| *it == b'\\').count();
        if escapes % 2 == 0 {
            return at;
        }
        from = at + 1;
    }
    inside.len()
}

fn without_addresses(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        if word.contains('@') {
            GONE.to_string()
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_and_names_stay() {
        for (said, told) in [
            (
                r#"invalid type: string "a@b.c", expected i64 at line 1 column 9"#,
                r#"invalid type: string "…", expected i64 at line 1 column 9"#,
            ),
            (
                r#"invalid type: string "a \" b", expected i64"#,
                r#"invalid type: string "…", expected i64"#,
            ),
            (
                "unknown variant `Ann`, expected one of `pro`, `team`",
                "unknown variant `…`, expected one of `pro`, `team`",
            ),
            ("missing field `credits`", "missing field `credits`"),
            (
                "invalid type: integer `5`, expected a string",
                "invalid type: integer `…`, expected a string",
            ),
            ("no a@b.c here", "no … here"),
            (r#"never "closed"#, r#"never "…""#),
            ("", ""),
        ] {
            assert_eq!(without_values(said), told);
        }
    }

    #[test]
    fn of_a_panic_only_our_own_words_are_told() {
        assert_eq!(panic(&"a literal: `x`"), "a literal: `x`");
        for (made, told) in [
            (
                "byte index 1 is not a char boundary; it is inside 'ä' (bytes 0..2) of `äName`",
                "byte index 1 is not a char boundary; it is inside…",
            ),
            ("a reader failed: ParseError(\"Ann\")", "a reader failed…"),
            ("index out of bounds", "index out of bounds"),
        ] {
            assert_eq!(panic(&made.to_owned()), told);
        }
        assert_eq!(panic(&5_u8), "no message");
    }
}
