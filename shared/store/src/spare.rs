//! Connections on their way from one transaction to the next.
//!
//! The pool asks a connection three times whether it is there, before a use and after it. For a transaction of ten
//! statements that is a quarter more to wait for, so what has just committed is kept for the next one a moment.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};

use crate::meters;

/// Longest a connection goes without the pool, which asks whether it is there and looks how old it is.
const KEEP: Duration = Duration::from_secs(1);
/// Longest a connection may take to begin or to roll back. One that leads nowhere never answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections without a transaction. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Spare(Arc<Mutex<Shelf>>);

#[derive(Debug)]
struct Shelf {
    /// So many at most: the pool must have some left for those who do not come here.
    max: usize,
    /// How many wait for the pool. As long as somebody does, nothing is kept from them.
    waiting: usize,
    connections: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    connection: PoolConnection<Postgres>,
    /// When it left the pool.
    since: Instant,
}

/// A connection with a running transaction. Dropping it rolls back.
#[derive(Debug)]
pub(crate) struct Open {
    /// Taken by the commit.
    held: Option<Held>,
    spare: Spare,
}

/// A place in the pool's queue.
struct Turn(Spare);

impl Turn {
    async fn acquire(self, pool: &PgPool) -> Result<Held, sqlx::Error> {
        let asked = Instant::now();
        let connection = pool.acquire().await;
        meters::acquired(&connection, asked.elapsed());
        let since = Instant::now();
        Ok(Held {
            connection: connection?,
            since,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// A connection for one statement at a time. Whoever is done says so; else the pool looks whether it is of use.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Taken when it goes back.
    held: Option<Held>,
    spare: Spare,
}

impl Spare {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Shelf {
            max,
            waiting: 0,
            connections: Vec::new(),
        })))
    }

    /// Begins a transaction, on a connection that was kept or, failing that, on one of the pool.
    pub(crate) async fn begin(&self, pool: &PgPool) -> Result<Open, sqlx::Error> {
        let turn = match self.next() {
            Ok(held) => match self.open(held).await {
                Ok(open) => return Ok(open),
                // No trouble yet: the pool finds out which of the others are of use.
                Err(_) => self.queue_up(),
            },
            Err(turn) => turn,
        };
        self.open(turn.acquire(pool).await?).await
    }

    /// A connection that was kept or, failing that, one of the pool. One that was kept may have died meanwhile: whoever
    /// borrows it is told so by their statement.
    pub(crate) async fn lend(&self, pool: &PgPool) -> Result<Lent, sqlx::Error> {
        let held = match self.next() {
            Ok(held) => held,
            Err(turn) => turn.acquire(pool).await?,
        };
        Ok(Lent {
            held: Some(held),
            spare: self.clone(),
        })
    }

    fn keep(&self, held: Option<Held>) {
        let mut shelf = self.lock();
        if shelf.waiting == 0 && shelf.connections.len() < shelf.max {
            shelf.connections.extend(held);
        }
    }

    /// How many are kept.
    pub(crate) fn kept(&self) -> usize {
        self.lock().connections.len()
    }

    /// Gives all of them back, and keeps none from now on.
    pub(crate) fn close(&self) {
        let mut shelf = self.lock();
        shelf.max = 0;
        shelf.connections.clear();
    }

    /// The one used last, or else a place in the queue; those that were kept for too long go back to the pool.
    fn next(&self) -> Result<Held, Turn> {
        let mut shelf = self.lock();
        shelf.connections.retain(|held| held.since.elapsed() < KEEP);
        // In one go: what is given back in between would be kept from us.
        shelf.connections.pop().ok_or_else(|| {
            shelf.waiting += 1;
            Turn(self.clone())
        })
    }

    fn queue_up(&self) -> Turn {
        let mut shelf = self.lock();
        shelf.connections.clear();
        shelf.waiting += 1;
        Turn(self.clone())
    }

    async fn open(&self, held: Held) -> Result<Open, sqlx::Error> {
        let mut open = Open {
            held: Some(held),
            spare: self.clone(),
        };
        at_once(&mut open, "BEGIN").await?;
        Ok(open)
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Commits. After an error the outcome is unknown.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        let held = self.held.take();
        self.spare.keep(held);
        Ok(())
    }
}

impl Lent {
    /// It answered.
    pub(crate) fn done(mut self) {
        let held = self.held.take();
        self.spare.keep(held);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // What happened to it may have happened to the others.
        if self.held.take().is_some() {
            self.spare.lock().connections.clear();
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        // There until it is done, which takes all of this.
        &self.held.as_ref().expect("not done").connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("not done").connection
    }
}

/// Makes a connection fit for the pool again, or ends it.
async fn roll_back(mut connection: PoolConnection<Postgres>) {
    if at_once(&mut connection, "ROLLBACK").await.is_err() {
        connection.close_on_drop();
    }
}

async fn at_once(connection: &mut PgConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, connection.execute(sql)).await;
    answer.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
    Ok(())
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            tokio::spawn(roll_back(held.connection));
        }
    }
}

impl Deref for Open {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        // There until the commit, which takes all of this.
        &self.held.as_ref().expect("not committed").connection
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("not committed").connection
    }
}
