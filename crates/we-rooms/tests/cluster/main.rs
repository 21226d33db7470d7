//! Rooms that are shared by machines: servers of this process, each with a runtime and a cluster of its own, and a real broker, which the
//! tests start: `redis-server` of Debian's package of that name. Without it they are skipped, unless the environment has `CI=1`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod broker;
mod delivery;
mod lifetimes;
mod losses;
mod machine;
mod strangers;
