//! "Did you mean".

/// Most single-letter edits between a mistake and what was meant.
const EDITS_MAX: usize = 3;

/// `"; did you mean X?"` for the closest candidate, or nothing.
#[must_use]
pub fn hint(word: &str, candidates: &[&str]) -> String {
    candidates
        .iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min()
        .map_or_else(String::new, |(_, candidate)| {
            format!("; did you mean {candidate}?")
        })
}

/// Levenshtein's distance, in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn only_what_is_close_is_suggested() {
        assert_eq!(hint("SECRETS", &["SECRET", "TOKEN"]), "; did you mean SECRET?");
        assert_eq!(hint("COLOUR", &["SECRET", "TOKEN"]), "");
    }
}
