//! An application that serves: a module whose default export says what to do with a connection. Each connection has an
//! [`Application`] of its own, that is, a context and an event loop.
//!
//! The connection itself, with its opening handshake, its peers and their manners, belongs to another process, the server.
//! An application has a [link](ConnectionInfo) to it, a stream of bytes on which the two speak WebSocket again: so
//! messages, Pings, codes and reasons go through as they are, and the server need not trust what an application writes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`application`] | loading, evaluating, the end |
//! | [`app`] | its routes |
//! | [`builtin`], app.js | the module `we:serve` |
//! | [`exchange`] | a request and its answer |
//! | [`info`] | what an application learns of its connection |
//! | [`room`] | a room and its clients, told to the application |
//! | [`session`] | a connection, told to the application |
//! | [`socket`] | the interface `ServerWebSocket` |

#![cfg_attr(not(unix), allow(dead_code))]

mod app;
#[cfg(unix)]
mod application;
mod builtin;
mod exchange;
mod info;
mod room;
mod session;
mod socket;

#[cfg(unix)]
pub use self::application::{Application, Stage};
pub use self::info::{ConnectionInfo, ResponseHead};
pub use self::room::{RoomCommand, RoomEvent, RoomRecipient};
pub(crate) use self::{builtin::built_in_module, session::Session};
