//! What goes wrong, as a page.

use axum::response::{Html, IntoResponse, Response};
use maud::html;

use super::layout;
use crate::problem::Problem;

/// A problem that a person reads.
#[derive(Debug)]
pub(super) struct Fault(Problem);

impl<T: Into<Problem>> From<T> for Fault {
    fn from(problem: T) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let page = layout::bare(
            &problem.title,
            &html! {
                h1 { (problem.title) }
                @if let Some(detail) = &problem.detail { p { (detail) } }
                p { a href="/ops" { "To the overview" } }
            },
        );
        (problem.status, Html(page.into_string())).into_response()
    }
}
