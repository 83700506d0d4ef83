//! The same, asked of Postgres with nothing in between.

use std::io;
use std::sync::Arc;

use shared::unique;
use store::Store;
use store::yardstick::{Direct, user};

use crate::bench::generator::{self, Lane, Shot};

/// As many connections as the API has unless told otherwise.
const CONNECTIONS: usize = 16;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// A prepared `SELECT 1`.
    Nothing,
    /// A credit.
    Spend { user: String, key: String },
}

impl Question {
    /// What [`Maker::spend`](super::requests::Maker::spend) comes to in the database.
    pub(super) fn spend(number: usize) -> Self {
        Self::Spend {
            user: user(number),
            key: unique::word(),
        }
    }
}

struct Asker {
    connection: Direct,
    questions: Arc<Vec<Question>>,
}

impl Lane for Asker {
    async fn exchange(&mut self, number: usize) -> io::Result<u16> {
        let is_done = match &self.questions[number] {
            Question::Nothing => self.connection.nothing().await.map(|()| true),
            Question::Spend { user, key } => self.connection.spend(user, key).await,
        };
        // In the words of who speaks HTTP.
        Ok(if is_done.map_err(io::Error::other)? {
            200
        } else {
            402
        })
    }
}

/// Asks each once, `rate` a second.
pub(super) fn ask(store: &Store, questions: Vec<Question>, rate: f64) -> io::Result<Shot> {
    let count = questions.len();
    let questions = Arc::new(questions);
    let connect = async || {
        let mut lanes = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            lanes.push(Asker {
                connection: Direct::connect(store).await.map_err(io::Error::other)?,
                questions: Arc::clone(&questions),
            });
        }
        Ok(lanes)
    };
    generator::paced(connect, count, rate)
}
