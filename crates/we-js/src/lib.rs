//! The web platform on the [Boa](boa_engine) JavaScript engine: the standard `WebSocket` interface, and the events,
//! Blobs, timers, URLs and the event loop that it stands on.
//!
//! The engine is the language and nothing else. This crate adds what a script expects around it, as the standards of
//! the web have it, for programs that embed the engine.
//!
//! # Use
//!
//! An [`EventLoop`] makes the context, defines the platform in it and runs it:
//!
//! ```
//! use we_js::{EventLoop, Options, boa_engine::Source};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = echo_server()?;
//! # let script = |text: &str| text.replace("wss://example.com/chat", &server);
//! let event_loop = EventLoop::new(Options::default())?;
//! let mut context = event_loop.context_builder().build()?;
//! event_loop.install(&mut context)?;
//! let code = "
//!     const ws = new WebSocket('wss://example.com/chat');
//!     ws.onopen = () => ws.send('hello');
//!     ws.onmessage = ({ data }) => { globalThis.answer = data; ws.close(); };
//! ";
//! # let code = &script(code);
//! context.eval(Source::from_bytes(code))?;
//! event_loop.run(&mut context)?; // until no socket is open and nothing else is pending
//! # assert_eq!(context.eval(Source::from_bytes("answer"))?.as_string(), Some("hello".into()));
//! # Ok(())
//! # }
//! #
//! # fn echo_server() -> Result<String, Box<dyn std::error::Error>> {
//! #     use we_net::server::{Server, echo};
//! #     let (send, receive) = std::sync::mpsc::channel();
//! #     std::thread::spawn(move || -> Result<(), std::io::Error> {
//! #         tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! #             let server = Server::builder().bind("127.0.0.1:0").await?;
//! #             let _ = send.send(server.url());
//! #             server.serve(echo).await;
//! #             Ok(())
//! #         })
//! #     });
//! #     Ok(receive.recv()?)
//! # }
//! ```
//!
//! [`Options`] are the embedder's choices: the base URL and origin that scripts believe in, whom to trust, who hears
//! of uncaught errors, where `console` prints. None of them can be reached from a script. Other threads reach a loop by
//! its [`LoopHandle`].
//!
//! # What a context gets
//!
//! `WebSocket`, `EventSource`; `Event`, `EventTarget`, `CustomEvent`, `MessageEvent`, `CloseEvent`, `ErrorEvent`,
//! `PromiseRejectionEvent`, `ProgressEvent`; `DOMException`; `AbortController`, `AbortSignal`; `Blob`, `File`,
//! `FileReader`; `MessageChannel`, `MessagePort`, `BroadcastChannel`; `ReadableStream`, `WritableStream`,
//! `TransformStream` with their readers, writers, controllers and queuing strategies; `TextEncoder`, `TextDecoder`; `URL`,
//! `URLSearchParams`; `fetch()`, `Headers`, `Request`, `Response`; `Performance`; the functions `setTimeout`, `setInterval`, `clearTimeout`, `clearInterval`,
//! `queueMicrotask`, `structuredClone`, `atob`, `btoa`, `reportError`; `console`, `navigator`, `origin`,
//! `performance`, `self`. The global object is an event target, with `onerror`, `onunhandledrejection` and
//! `onrejectionhandled`.
//!
//! # How it is built
//!
//! | module | what it holds |
//! |---|---|
//! | `binding` | WebIDL: how a Rust type becomes a web interface |
//! | `dom` | events, targets, dispatch, handlers, `DOMException`, the reporting of errors |
//! | `streams` | readable (also of bytes), writable and transform streams, for scripts and for other modules |
//! | `messaging` | channels, ports, what keeps them alive |
//! | `websocket` | the interface, the delivery of what the network says, what keeps a socket alive |
//! | `network` | connections as tasks, driven by the loop's thread while it waits and by a standby while it is busy |
//! | [`event_loop`] | tasks, timers, microtasks, rejections, scripts and modules |
//! | `fetch` | `fetch()` and its interfaces; the scripts of workers and modules |
//! | `eventsource` | the interface `EventSource`, the job that follows its connection |
//! | `abort`, `file`, `url`, `encoding`, ... | one standard each |
//! | `platform` | which of them a context gets |
//!
//! # What to know
//!
//! - A context and its loop belong to one thread, and must be dropped on it: never keep one in a `thread_local!`.
//! - The engine's parser needs much stack for deeply nested source text: run scripts that you do not know on a thread
//!   with 64 MiB of stack or more.
//! - The engine cannot be interrupted and has no cap on memory: a hostile script needs a process of its own.

mod abort;
mod agent;
mod base64;
mod binding;
mod console;
mod dom;
mod encoding;
pub mod event_loop;
mod eventsource;
mod fetch;
mod file;
mod messaging;
mod navigator;
mod network;
mod performance;
mod platform;
pub mod serve;
mod streams;
mod structured_clone;
#[cfg(test)]
mod testing;
mod uncaught;
mod url;
mod websocket;
mod worker;

/// The engine, as this crate uses it: contexts and values of another version do not fit.
pub use boa_engine;
pub use console::{ConsoleLevel, ConsolePrinter};
pub use event_loop::{EventLoop, FileAccess, LoopHandle, Options, WorkerSetup};
pub use uncaught::{ErrorReporter, Position, UncaughtError, UncaughtErrorKind};
