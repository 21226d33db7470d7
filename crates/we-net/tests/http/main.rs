//! The HTTP client against servers of raw bytes.
#![allow(clippy::unwrap_used)]

mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod heads;
mod requests;
mod secure;
mod support;
