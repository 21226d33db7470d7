//! The WebSocket protocol of [RFC 6455] as a value, without I/O.
//!
//! [`Connection`] is a deterministic state machine. Bytes and the time go in; events, bytes to
//! write and the next deadline come out. It owns no socket, thread, task or clock, so whatever
//! moves bytes can drive it: a TCP or TLS stream, an HTTP/2 stream, a pipe in a test, a fuzzer. A
//! bug is then a byte string in a test.
//!
//! The opening handshake is not part of it: a `Connection` starts in the OPEN state.
//!
//! | module | what it holds | section |
//! |---|---|---|
//! | [`frame`] | frame headers, opcodes, reserved bits | [5.2] |
//! | [`mask`] | masking keys and the masking loop | [5.3] |
//! | [`message`], [`payload`], [`text`] | whole messages and their storage | [5.6] |
//! | [`read_buffer`] | what a transport's bytes are read into | |
//! | [`close`] | close codes, Close frame bodies | [5.5.1], [7.4] |
//! | [`config`] | limits and timeouts, with the reason for each default | [10.4] |
//! | [`extension`] | the hook for negotiated extensions | [9] |
//! | [`deflate`] | the extension `permessage-deflate` | [RFC 7692] |
//! | [`error`] | what a peer did wrong and the close code that says so | [7.1.7] |
//! | [`scan`] | frames as they pass, for logs | [5.2] |
//! | [`connection`] | the state machine | [5.4], [7] |
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//! [5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//! [5.4]: https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//! [5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//! [5.6]: https://www.rfc-editor.org/rfc/rfc6455#section-5.6
//! [7]: https://www.rfc-editor.org/rfc/rfc6455#section-7
//! [7.1.7]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//! [7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
//! [9]: https://www.rfc-editor.org/rfc/rfc6455#section-9
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
//! [10.4]: https://www.rfc-editor.org/rfc/rfc6455#section-10.4

pub mod close;
pub mod config;
pub mod connection;
pub mod deflate;
pub mod error;
pub mod extension;
mod fill;
pub mod frame;
pub mod mask;
pub mod message;
pub mod payload;
pub mod read_buffer;
pub mod scan;
pub mod text;

pub use close::{CloseCode, CloseFrame, CloseReason};
pub use config::{BackPressure, Config, KeepAlive, Limits, SlowPeer, Timeouts};
pub use connection::{Closure, Connection, Event, Role, State};
pub use deflate::{DeflateConfig, PerMessageDeflate};
pub use error::{ConnectionError, ProtocolError, Refusal, SendError, TransportError};
pub use extension::{Extension, ExtensionError};
pub use frame::{FrameHeader, OpCode, Rsv};
pub use mask::{MaskKey, MaskSource};
pub use message::{Message, MessageKind, MessageRef};
pub use payload::Payload;
pub use read_buffer::ReadBuffer;
pub use scan::FrameScanner;
pub use text::Text;
