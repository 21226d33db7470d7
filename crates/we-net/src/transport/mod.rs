//! Everything that touches a socket: name look-up, dialling, TLS, and the [`Driver`] that connects
//! a stream with the protocol's state machine.
//!
//! | module | what it does | standard |
//! |---|---|---|
//! | [`resolve`] | names to addresses | [fetch, resolve an origin](https://fetch.spec.whatwg.org/#resolve-an-origin) |
//! | [`dial`](mod@dial) | the first address that answers | [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305) |
//! | `gate` | one opening handshake per address at a time | [RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1) |
//! | [`throttle`] | a pause before connecting again to where it has failed | [RFC 6455 section 7.2.3](https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3) |
//! | `reach` | from a URL to a stream to its host, through a [proxy](crate::proxy) if there is one | |
//! | [`socket`] | TCP, a Unix socket or a proxy's tunnel as one type | |
//! | [`tls`] | TLS 1.2 and 1.3 of both roles | [RFC 8446](https://www.rfc-editor.org/rfc/rfc8446) |
//! | [`stream`] | a socket with or without TLS, or a stream of a shared connection, as one type | |
//! | [`driver`] | moves bytes and time between a stream and a `Connection` | |
//! | [`error`] | why no connection came to be, for people | |

pub mod dial;
pub mod driver;
pub mod error;
pub(crate) mod gate;
pub(crate) mod reach;
pub mod resolve;
pub mod socket;
pub mod stream;
pub mod throttle;
pub mod tls;

pub use dial::dial;
pub use driver::Driver;
pub use error::ConnectError;
pub use resolve::{Resolve, Resolver};
pub use socket::Socket;
pub use stream::{MaybeTls, Stream};
pub use throttle::Throttle;
pub use tls::{TlsConfig, TlsConfigBuilder, TlsConfigError, TlsServerConfig};
