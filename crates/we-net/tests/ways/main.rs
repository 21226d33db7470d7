//! Ways to a server: proxies, Unix sockets, client certificates; and what the operator sends along.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod certificates;
mod observed;
mod proxies;
mod requests;
mod throttled;
#[cfg(unix)]
mod unix;
