//! WebSocket networking.

pub mod client;
pub mod handshake;
pub mod protocol;
pub mod server;
pub mod socket;
pub mod transport;

pub use client::{Client, ConnectTimeouts, connect};
pub use server::{Acceptor, Server};
pub use socket::{WebSocket, WebSocketReceiver, WebSocketSender};
