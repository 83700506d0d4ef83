//! Objects that were not as Stripe had them though no event said so, on the page of what is compared.

use maud::{Markup, html};
use store::samples::Differing;

use super::layout::Head::Text;
use super::layout::{Tone, badge, nothing, seconds, table};

/// How many are shown; the API lists all of them.
pub(super) const ROWS: u32 = 20;

/// Those found last.
pub(super) fn section(found: &[Differing]) -> Markup {
    html! {
        section aria-labelledby="of-differences" {
            h2 #of-differences { "Objects that were not as Stripe has them" }
            div.live #differences {
                @if found.is_empty() {
                    (nothing("None was found. A sample of all objects is compared again and again."))
                } @else {
                    (rows(found))
                }
            }
        }
    }
}

fn rows(found: &[Differing]) -> Markup {
    let rows = html! {
        @for it in found {
            tr {
                td { span.id { (it.object_id) } span.detail { (it.kind) } }
                td { @if it.is_gone { "gone at Stripe" } @else { (it.members.join(", ")) } }
                td { @match it.settled_at {
                    Some(_) => (badge("as Stripe has it", Tone::Good)),
                    None => (badge("differs", Tone::Bad)),
                } }
                td { (seconds(it.found_at)) }
                td { @match it.settled_at { Some(at) => (seconds(at)), None => "—" } }
            }
        }
    };
    let heads = [
        Text("Object"),
        Text("What differed"),
        Text("What became of it"),
        Text("Found (UTC)"),
        Text("Mended (UTC)"),
    ];
    table(
        "Objects that were not as Stripe has them, those found last first",
        &heads,
        &rows,
    )
}
