//! The little HTML there is.

/// A page with a title and a body that is HTML already.
pub(super) fn layout(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}}\
         button{{font:inherit;padding:.4rem 1rem;margin:.2rem}}.amount{{font-size:2rem}}</style>\n\
         <h1>{title}</h1>\n{body}\n<p><small>A simulated Stripe: no money moves.</small></p>\n</html>\n"
    )
}

/// A button that posts `action=...` to the page itself, with some more fields.
pub(super) fn button(action: &str, label: &str, fields: &[(&str, &str)]) -> String {
    let hidden: String = fields
        .iter()
        .map(|(name, value)| {
            format!(
                "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                escaped(name),
                escaped(value)
            )
        })
        .collect();
    format!(
        "<form method=\"post\" style=\"display:inline\">{hidden}<button name=\"action\" value=\"{}\">{}</button></form>",
        escaped(action),
        escaped(label)
    )
}

/// Text that is nothing but text in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
