//! WebSocket networking.

pub mod handshake;
pub mod protocol;
