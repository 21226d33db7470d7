//! A small HTTP client for what stands beside WebSocket: loading scripts, following event streams, and
//! `fetch()`.
//!
//! It sends requests over HTTP/1.1, one connection each, and hands the answer's body over as it
//! arrives. The body of a request is sent as it comes, too ([`RequestBody`]). The way to the server
//! (name look-up, dialling, proxies, TLS, blocked ports, time limits) is that
//! of the [`Client`](crate::Client) which it is asked of; redirects follow [fetch][redirect].
//!
//! ```
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/worker.js", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = listener.accept().await?;
//! #     stream.read(&mut [0; 4096]).await?;
//! #     stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nlet x=1;").await?;
//! #     std::io::Result::Ok(())
//! # });
//! let client = we_net::Client::default();
//! let response = client
//!     .get(&url)? // "https://example.com/worker.js", say
//!     .header("Accept", "text/javascript")?
//!     .send()
//!     .await?;
//! assert_eq!(response.status, 200);
//! let script = response.body.collect(1 << 20).await?; // at most 1 MiB
//! assert_eq!(script, b"let x=1;");
//! # Ok(())
//! # }
//! ```
//!
//! A body without end, such as an event stream, is read piece by piece with [`Body::chunk`] and
//! wants [`Request::idle_timeout`] to be `None`. What an event stream says, [`EventStream`] tells. Dropping
//! the future of a request, a [`Response`] or a [`Body`] closes the connection.
//!
//! # What it does not do
//!
//! No cookies, no cache, no decompression (`Accept-Encoding: identity` is sent), no kept-alive
//! connections. Of fetch there are the redirects of GET requests and the blocked ports; what a page
//! may read of which origin (CORS) is the caller's to check, for
//! which it takes the redirects one by one ([`Request::send_once`]).
//!
//! [redirect]: https://fetch.spec.whatwg.org/#http-redirect-fetch

mod body;
mod error;
mod event_stream;
mod exchange;
mod io;
mod redirect;
mod request;
mod upload;

pub use body::Body;
pub use error::{HttpError, RedirectError};
pub use event_stream::{DEFAULT_MAX_EVENT, EventStream, EventTooLong, ServerSentEvent};
pub use hyper::body::Bytes;
pub(crate) use io::{Meter, Metered};
pub use redirect::MAX_REDIRECTS;
pub use request::{DEFAULT_IDLE_TIMEOUT, Request, Response};
pub use upload::{BodySender, RequestBody};
