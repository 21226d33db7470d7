//! WebSocket networking: the protocol of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455) for
//! clients and servers, fast and strict, with the rules that browsers follow on top
//! ([WHATWG](https://websockets.spec.whatwg.org/)).
//!
//! # A client
//!
//! ```
//! # use we_net::server::{Server, echo};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::builder().bind("127.0.0.1:0").await?;
//! # let url = server.url();
//! # tokio::spawn(server.serve(echo));
//! let mut socket = we_net::connect(&url).await?; // "wss://example.com/chat", say
//! socket.send("hello").await?;
//! while let Some(message) = socket.next().await? {
//!     println!("{:?}", message.as_text());
//! #   break;
//! }
//! let closure = socket.close(None).await;
//! assert!(closure.clean);
//! # Ok(())
//! # }
//! ```
//!
//! Origin, subprotocols, headers: [`Client::request`]. Time limits, trusted authorities, name
//! look-up, compression: [`Client::builder`]. Sending and receiving in different tasks: [`WebSocket::split`].
//!
//! # A server
//!
//! ```no_run
//! use we_net::{Acceptor, Server, WebSocket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let acceptor = Acceptor::builder().subprotocols(["chat"]).build();
//! let server = Server::builder().acceptor(acceptor).bind("127.0.0.1:8080").await?;
//! println!("listening on {}", server.url());
//! server
//!     .serve(|mut socket: WebSocket| async move {
//!         while let Ok(Some(message)) = socket.next().await {
//!             let _ = socket.send(message).await;
//!         }
//!     })
//!     .await;
//! # Ok(())
//! # }
//! ```
//!
//! On a stream of your own (a pipe, a serial line): [`Acceptor::accept`] and
//! [`Request::on_stream`](client::Request::on_stream).
//!
//! # Beside WebSocket
//!
//! What a page loads over `http:` and `https:`, such as its scripts, comes by the same way to the
//! server: [`Client::get`], with an example in [`http`].
//!
//! # Without I/O
//!
//! The protocol itself is a value, [`protocol::Connection`], with an example there; the opening
//! handshake is a set of values too:
//!
//! ```
//! use we_net::handshake::{ClientHandshake, HeadLimits, RequestReader, WebSocketUrl};
//!
//! let url = WebSocketUrl::parse("ws://example.com/chat", None)?;
//! let client = ClientHandshake::new(&url);
//! let request = RequestReader::new(HeadLimits::default()).receive(&client.request())?.ok_or("incomplete")?;
//! let accepted = client.into_reader().receive(&request.accept().to_bytes())?.ok_or("incomplete")?;
//! assert_eq!((request.resource.as_str(), accepted.subprotocol), ("/chat", None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is built
//!
//! | module | what it holds |
//! |---|---|
//! | [`protocol`] | frames, messages, close codes, and the state machine of a connection, without I/O |
//! | [`handshake`] | URLs, requests and responses of the opening handshake, without I/O |
//! | [`transport`] | name look-up, dialling, TLS, and the driver that gives the state machine a socket |
//! | [`http2`] | WebSockets that share a connection, of both roles |
//! | [`http`] | requests over HTTP/1.1, redirects, and bodies as they come |
//! | [`proxy`] | which proxy leads to a server, and the negotiations with it, without I/O |
//! | [`cookies`] | a trait for the embedder's jar, and one in memory |
//! | [`observe`] | counters, events, a log of frames |
//! | [`client`], [`server`] | from a URL, or a listening socket, to an open connection |
//! | [`socket`] | the open connection |
//!
//! # What it defends against
//!
//! Peers are held to be hostile. Nothing is allocated by a length that a peer merely declares;
//! handshakes, messages, fragments, pings and pending output are bounded ([`protocol::Limits`],
//! [`handshake::HeadLimits`]); whatever a peer can delay has a time limit ([`ConnectTimeouts`],
//! [`protocol::Timeouts`]). TLS certificates are always verified, unless the program says
//! [`dangerous_accept_any_certificate`](transport::TlsConfig::dangerous_accept_any_certificate).
//! WebSockets follow no redirects, ports of other protocols are not dialled, and servers refuse web
//! pages of other hosts unless told otherwise ([`handshake::OriginPolicy`]).

pub mod client;
pub mod cookies;
pub mod handshake;
pub mod http;
pub mod http2;
pub mod observe;
pub mod protocol;
pub mod proxy;
pub mod server;
pub mod socket;
pub mod transport;

pub use client::{Client, ConnectTimeouts, connect};
pub use handshake::WebSocketUrl;
pub use http::HttpError;
pub use http2::Http2Config;
pub use protocol::Message;
pub use server::{Acceptor, Server};
pub use socket::{Established, Negotiated, WebSocket, WebSocketReceiver, WebSocketSender};
