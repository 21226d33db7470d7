//! The web platform on the Boa engine.
#![allow(dead_code, unused_imports)]

mod abort;
mod base64;
mod binding;
mod console;
mod dom;
mod encoding;
pub mod event_loop;
mod file;
mod network;
mod performance;
mod platform;
mod structured_clone;
#[cfg(test)]
mod testing;
mod uncaught;
mod url;
mod websocket;

/// The engine, as this crate uses it: contexts and values of another version do not fit.
pub use boa_engine;
pub use console::{ConsoleLevel, ConsolePrinter};
pub use event_loop::{EventLoop, LoopHandle, Options};
pub use uncaught::{ErrorReporter, Position, UncaughtError, UncaughtErrorKind};
