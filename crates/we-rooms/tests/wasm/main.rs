//! Services that are WebAssembly modules, over real WebSockets. The modules are those of `fixtures/wasm`, which `make guests` builds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod examples;
mod fixtures;
mod loading;
mod offences;
mod running;
mod wasi;
