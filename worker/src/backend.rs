//! The only file that knows apalis: our queue as its backend, our pipeline as its service.
//!
//! A task is a chunk. Redis trouble never surfaces as a backend error, because that ends an apalis worker;
//! `claims` retries inside. See docs/adr/0002.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis::prelude::WorkerBuilderExt;
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::{BoxDynError, WorkerError};
use apalis_core::task::Task;
use apalis_core::task::data::Data;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use shared::lifecycle::vital;
use tokio::task::JoinHandle;

use crate::attendance::Attendance;
use crate::chunk::Pipeline;
use crate::claims;
use crate::report;
use crate::shards::Shards;
use crate::waiting::{Chunk, Waiting};

/// The condition of a worker that was told to end.
const STOPPING: &str = "stopping";

/// Redis Streams as an apalis backend.
struct Streams {
    /// Taken by the closing.
    claims: Option<Claims>,
    pipeline: Pipeline,
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The fetcher and what it has fetched.
struct Claims {
    waiting: Waiting,
    fetcher: JoinHandle<()>,
}

impl Streams {
    fn start(pipeline: Pipeline, shards: Shards, waiting: Waiting) -> Self {
        let Pipeline {
            consumer,
            leases,
            readiness,
            stop,
            ..
        } = pipeline.clone();
        let fetching = claims::fetch(consumer, leases, readiness, shards, waiting.clone(), stop);
        let fetcher = tokio::spawn(vital("fetching", fetching));
        Self {
            claims: Some(Claims { waiting, fetcher }),
            pipeline,
            closing: None,
        }
    }
}

impl Backend for Streams {
    type Task = Task<Chunk>;
    type Error = std::convert::Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        let Some(claims) = &mut self.claims else {
            return Poll::Ready(None);
        };
        claims
            .waiting
            .poll_take(cx)
            .map(|chunk| chunk.map(|chunk| Ok(Task::new(chunk))))
    }

    /// Called when nothing is worked on any more.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if let Some(claims) = self.claims.take() {
            self.closing = Some(Box::pin(close(claims, self.pipeline.clone())));
        }
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(Ok(()));
        };
        closing.as_mut().poll(cx).map(Ok)
    }
}

/// Waits for the fetcher, and hands back what it fetched and nobody took.
async fn close(claims: Claims, pipeline: Pipeline) {
    let Claims { waiting, fetcher } = claims;
    // It does not fail: a panic would have ended the process.
    drop(fetcher.await);
    // Not before: the read that was under way when the stop came may have claimed one more chunk.
    for untouched in waiting
        .withdraw(|_| true)
        .chunk_by(|a, b| a.deliveries == b.deliveries)
    {
        let ids: Vec<_> = untouched.iter().map(|claimed| claimed.id).collect();
        pipeline.hand_back(&ids, untouched[0].deliveries).await;
    }
}

impl BackendConfig for Streams {
    type Args = Chunk;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = tower::layer::util::Identity;

    fn config(&self) -> &Self::Config {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        Self::Layer::new()
    }
}

/// Works on up to `concurrency` chunks at a time until the pipeline's `stop`, then finishes what runs and
/// hands the rest back.
///
/// # Errors
/// [`WorkerError`] when apalis gives up, which our backend never asks of it.
pub(crate) async fn run(pipeline: Pipeline, concurrency: usize) -> Result<(), WorkerError> {
    let (stop, readiness) = (pipeline.stop.clone(), pipeline.readiness.clone());
    report::slots(concurrency);
    let shards = Shards::default();
    let waiting = Waiting::new(shards.clone());
    let ended = tokio_util::sync::CancellationToken::new();
    let keeping = claims::keep(pipeline.consumer.clone(), pipeline.leases.clone(), ended.clone());
    let keeper = tokio::spawn(vital("keeping leases", keeping));
    let attendance = Attendance {
        consumer: pipeline.consumer.clone(),
        shards: shards.clone(),
        waiting: waiting.clone(),
        leases: pipeline.leases.clone(),
        readiness: pipeline.readiness.clone(),
        slots: concurrency,
    };
    let attending = tokio::spawn(vital("attending", attendance.keep(stop.clone(), ended.clone())));
    let worker = WorkerBuilder::new(pipeline.consumer.name().to_owned())
        .backend(Streams::start(pipeline.clone(), shards, waiting))
        .data(Arc::new(pipeline))
        .catch_panic()
        .concurrency(concurrency)
        .build(handle);
    let result = worker
        .run_until(async move {
            stop.cancelled().await;
            report::draining();
            readiness.set(STOPPING, Some("told to end".to_owned()));
            Ok::<(), WorkerError>(())
        })
        .await;
    // Leases and shards are kept until the last chunk is done.
    ended.cancel();
    drop(tokio::join!(keeper, attending));
    result
}

/// apalis polls all tasks of a worker on one thread; a task of tokio's spreads them over all.
async fn handle(chunk: Chunk, pipeline: Data<Arc<Pipeline>>) -> Result<(), BoxDynError> {
    let pipeline = Arc::clone(&pipeline);
    tokio::spawn(async move { pipeline.run(chunk).await }).await?;
    Ok(())
}
