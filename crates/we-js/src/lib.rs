//! The web platform on Boa.

#[allow(
    dead_code,
    reason = "crate-internal hooks that the interfaces above call"
)]
pub mod event_loop;
#[allow(
    dead_code,
    reason = "crate-internal hooks that the interfaces above call"
)]
mod network;
mod platform;

pub use event_loop::{EventLoop, LoopHandle, Options};
