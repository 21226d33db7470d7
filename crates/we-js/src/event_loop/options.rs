//! What an embedder chooses when it makes an event loop, and what the loop tells it.

use std::sync::Arc;

use boa_engine::{Context, JsResult};
use url::{Origin, Url};
use we_net::{Client, protocol::DeflateConfig, transport::Throttle};

use crate::{console::ConsolePrinter, uncaught::ErrorReporter};

/// Settings of an [`EventLoop`](super::EventLoop).
///
/// ```
/// let mut options = we_js::Options::default();
/// options.base_url = "https://example.com/app/".parse().ok();
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The URL that scripts believe in: relative URLs of `WebSocket`, `Worker` and the like are resolved against it.
    /// Without one, they are resolved against the URL of the program, and where that has none either (a program that was
    /// not run by [`EventLoop::evaluate`](super::EventLoop::evaluate)), a relative URL is an error.
    ///
    /// Imports are relative to the script or module that imports, whatever this says, and those of code that has no URL to
    /// the current directory.
    pub base_url: Option<Url>,

    /// The origin that requests carry. Without one, the handshakes of sockets and requests for scripts carry no `Origin`, as
    /// those of a program that is no browser; `fetch()` then takes the origin of [`base_url`](Self::base_url). Without
    /// either there is no same-origin policy: no server's answer is kept from a script.
    pub origin: Option<Origin>,

    /// What scripts may do with `file:` URLs.
    pub file_access: FileAccess,

    /// How connections are made: time limits, whom to trust for `wss:`, limits of messages, compression. The default
    /// offers servers `permessage-deflate; client_max_window_bits`, and waits before it connects again to where a
    /// connection has just failed, as browsers do.
    pub client: Client,

    /// Called with each error that no script caught and no listener canceled. The default writes it to `tracing`
    /// (target `we::js`, level ERROR).
    pub error_reporter: ErrorReporter,

    /// Receives what scripts print. The default writes to the standard streams.
    pub console: ConsolePrinter,

    /// Called for each worker before its script runs: what the embedder adds to the globals of workers. The default adds
    /// nothing.
    pub worker_setup: WorkerSetup,

    /// The stack of a worker's thread, in bytes of address space; memory is used as far as it grows. The engine's parser takes some
    /// 20 KiB for each level of nesting. Default: 256 MiB.
    pub worker_stack: usize,

    /// After how many bytes of payload handed to scripts the loop forces a garbage collection. The collector counts
    /// objects but not the bytes that they hold, so without this a script that receives large messages would grow for a
    /// long time before anything is collected. Little is better than much: what is collected soon is used again while
    /// the processor still has it at hand.
    ///
    /// A collection takes as long as there are objects that live. Where it takes so long that it would cost more than about a
    /// tenth of the time, it is put off, at most until sixteen times as many bytes have been handed out. Default: 4 MiB.
    pub external_memory_step: usize,

    /// The largest `ArrayBuffer` or `SharedArrayBuffer` that a script may make, in bytes; a larger one is a
    /// `RangeError`. It bounds the text that a `Blob` is read into, and an event of an `EventSource` (which has 64 MiB at most
    /// whatever this says), as well. Default: 1.5 GiB, as the language's standard recommends.
    pub max_buffer_size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: None,
            origin: None,
            file_access: FileAccess::default(),
            client: Client::builder()
                .compression([DeflateConfig::default()])
                .throttle(Throttle::default())
                .build(),
            error_reporter: ErrorReporter::default(),
            console: ConsolePrinter::default(),
            worker_setup: WorkerSetup::default(),
            worker_stack: 256 << 20,
            external_memory_step: 4 << 20,
            max_buffer_size: 1536 << 20,
        }
    }
}

/// Whether the agents of a program may use `file:` URLs: load scripts and JSON modules from them (as modules, by
/// `importScripts()`, as workers), and read any file by `fetch()`.
///
/// A worker may not do what the agent that started it may not, nor, if its own script came from a server, load files at
/// all. The program that [`EventLoop::evaluate_file`](super::EventLoop::evaluate_file) starts is the embedder's choice
/// and always read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FileAccess {
    /// Local programs may load scripts, and nothing reads other files: if [`Options::base_url`], [`Options::origin`] or the URL that the program is run under is one of
    /// a server (`http:`, `https:`, `ws:`, `wss:`), then not.
    #[default]
    OfLocalPrograms,
    /// They may do both, whatever the URLs say. What a script can read it can also send away: this is for programs whose
    /// scripts are trusted as much as the program itself.
    Allowed,
    /// They may not.
    Refused,
}

/// A function that an embedder gives the event loop to prepare the contexts of workers.
#[derive(Clone)]
pub struct WorkerSetup(Arc<SetUp>);

type SetUp = dyn Fn(&mut Context) -> JsResult<()> + Send + Sync;

impl WorkerSetup {
    /// Wraps a function. It runs on the worker's thread, once its globals are defined. If it fails, the worker does not
    /// start: its object gets an `error` event.
    pub fn new(set_up: impl Fn(&mut Context) -> JsResult<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(set_up))
    }

    pub(crate) fn run(&self, context: &mut Context) -> JsResult<()> {
        (self.0)(context)
    }
}

impl Default for WorkerSetup {
    fn default() -> Self {
        Self::new(|_| Ok(()))
    }
}
