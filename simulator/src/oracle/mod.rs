//! What is true in the end, said by the one who made it happen.
//!
//! A history keeps books while it plays: the state of every object, and what each payment bought, gave
//! back and lost. [`Truth`] is what follows from them for an endpoint that got every event. It knows no
//! rule of a consumer and never reads an event again.

mod books;
mod counts;
mod rows;
mod truth;

pub(crate) use books::Books;
pub use truth::Truth;
