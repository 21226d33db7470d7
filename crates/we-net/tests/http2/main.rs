//! WebSockets that share an HTTP/2 connection: our client and our server, and either against a peer of
//! raw frames.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod both;
mod hostile;
mod policy;
mod sharing;
mod support;
