//! Real processes: what a stack promises while it lives, and when its owner dies.

mod owner;
mod proxy;
mod running;
mod sources;
mod support;
