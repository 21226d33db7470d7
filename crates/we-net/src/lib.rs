//! WebSocket networking.

pub mod handshake;
