//! Receiving a body: bounded in size, in time, and together with all others in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::refusal::Refusal;

/// Largest body accepted, in bytes. Stripe names no limit; the largest event its own limits allow is
/// about 3 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A whole body, and its share of the budget for as long as it is in memory.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) bytes: Bytes,
    pub(crate) budget: SemaphorePermit<'a>,
}

/// Reads a body to its end.
///
/// One that announces too much is refused before a byte of it is read. The budget is taken as bytes
/// arrive, not as they are announced: otherwise a few clients that promise much and send nothing would
/// use it up.
pub(crate) async fn receive<'a>(
    body: Incoming,
    budget: &'a Semaphore,
    limit: Duration,
) -> Result<Received<'a>, Refusal> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    tokio::time::timeout(limit, collect(body, budget))
        .await
        .unwrap_or(Err(Refusal::BodyTimeout))
}

async fn collect(mut body: Incoming, budget: &Semaphore) -> Result<Received<'_>, Refusal> {
    let mut held = take(budget, 0)?;
    let mut gathered = Gathered::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyCutOff)?;
        // The other kind of frame is trailers, which nobody asked for.
        let Ok(data) = frame.into_data() else { continue };
        if gathered.len() + data.len() > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        held.merge(take(budget, data.len())?);
        gathered.add(data);
    }
    Ok(Received {
        bytes: gathered.into_bytes(),
        budget: held,
    })
}

fn take(budget: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Refusal> {
    let bytes = u32::try_from(bytes).map_err(|_| Refusal::BodyTooLarge)?;
    budget.try_acquire_many(bytes).map_err(|_| Refusal::BodiesBudget)
}

/// Most bodies arrive in one piece and are not copied at all.
#[derive(Default)]
struct Gathered {
    only: Bytes,
    joined: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.only.len() + self.joined.len()
    }

    fn add(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.only = piece;
            return;
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.only));
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.only
        } else {
            self.joined.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_in_order() {
        for pieces in [&[][..], &["ab"], &["", "ab"], &["a", "b"], &["a", "", "b", "c"]] {
            let mut gathered = Gathered::default();
            for piece in pieces {
                gathered.add(Bytes::from_static(piece.as_bytes()));
            }
            assert_eq!(gathered.len(), pieces.concat().len());
            assert_eq!(gathered.into_bytes(), pieces.concat());
        }
    }

    #[test]
    fn the_budget_runs_out_and_comes_back() {
        let budget = Semaphore::new(10);
        let held = take(&budget, 10).expect("fits");
        assert!(matches!(take(&budget, 1), Err(Refusal::BodiesBudget)));
        drop(held);
        assert!(take(&budget, 1).is_ok());
    }
}
