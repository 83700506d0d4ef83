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
use tokio::task::JoinHandle;

use crate::chunk::Pipeline;
use crate::claims;
use crate::report;
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
    fn start(pipeline: Pipeline) -> Self {
        let waiting = Waiting::default();
        let Pipeline {
            consumer,
            leases,
            readiness,
            stop,
            ..
        } = pipeline.clone();
        let fetcher = tokio::spawn(claims::fetch(consumer, leases, readiness, waiting.clone(), stop));
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

/// Waits for the fetcher, hands back what it fetched and nobody took, and leaves the group.
async fn close(claims: Claims, pipeline: Pipeline) {
    let Claims { waiting, fetcher } = claims;
    // The error would be a panic of the fetcher; closing goes on without it.
    drop(fetcher.await);
    // Not before: the read that was under way when the stop came may have claimed one more chunk.
    while let Some(chunk) = waiting.take() {
        let untouched: Vec<_> = chunk.entries.iter().map(|claimed| claimed.id).collect();
        pipeline.hand_back(&untouched, chunk.deliveries).await;
    }
    if let Err(error) = pipeline.consumer.leave().await {
        tracing::warn!("the consumer's name stays in the group: {error}");
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
    let keeper_stop = tokio_util::sync::CancellationToken::new();
    let keeper = tokio::spawn(claims::keep(
        pipeline.consumer.clone(),
        pipeline.leases.clone(),
        keeper_stop.clone(),
    ));
    let worker = WorkerBuilder::new(pipeline.consumer.name().to_owned())
        .backend(Streams::start(pipeline.clone()))
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
    // Leases are kept until the last chunk is done.
    keeper_stop.cancel();
    drop(keeper.await);
    result
}

/// apalis polls all tasks of a worker on one thread; a task of tokio's spreads them over all.
async fn handle(chunk: Chunk, pipeline: Data<Arc<Pipeline>>) -> Result<(), BoxDynError> {
    let pipeline = Arc::clone(&pipeline);
    tokio::spawn(async move { pipeline.run(chunk).await }).await?;
    Ok(())
}
