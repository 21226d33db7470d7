//! The web platform on the Boa engine.
#![allow(dead_code, unused_imports)]

mod abort;
mod binding;
mod dom;
pub mod event_loop;
mod file;
mod network;
mod platform;
#[cfg(test)]
mod testing;
mod uncaught;
mod websocket;

pub use event_loop::{EventLoop, LoopHandle, Options};
pub use uncaught::{ErrorReporter, Position, UncaughtError, UncaughtErrorKind};
