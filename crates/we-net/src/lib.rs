//! WebSocket networking.

pub mod protocol;
