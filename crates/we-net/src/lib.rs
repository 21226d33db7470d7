//! WebSocket networking.
