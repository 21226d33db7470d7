//! What an embedder chooses when it makes an event loop, and what the loop tells it.

use std::rc::Rc;

use boa_engine::{JsError, JsValue};
use url::{Origin, Url};
use we_net::Client;

/// Settings of an [`EventLoop`](super::EventLoop).
///
/// ```
/// let mut options = we_js::Options::default();
/// options.base_url = "https://example.com/app/".parse().ok();
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The URL that scripts believe in: relative URLs (of a `WebSocket`, of an import in an inline script) are
    /// resolved against it. Without one, a relative URL is an error.
    pub base_url: Option<Url>,

    /// The origin that requests carry. Without one, requests carry no `Origin`, as those of a program that is no
    /// browser.
    pub origin: Option<Origin>,

    /// How connections are made: time limits, whom to trust for `wss:`, limits of messages.
    pub client: Client,

    /// Called with each error that no script caught and no listener canceled. The default writes it to `tracing`
    /// (target `we::js`, level ERROR).
    pub error_reporter: ErrorReporter,

    /// How many bytes of payload may be handed to scripts before the loop forces a garbage collection. The
    /// collector counts objects but not the bytes that they hold, so without this a script that receives large
    /// messages would grow for a long time before anything is collected. Default: 64 MiB.
    pub external_memory_step: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: None,
            origin: None,
            client: Client::default(),
            error_reporter: ErrorReporter::default(),
            external_memory_step: 64 << 20,
        }
    }
}

/// A function that an embedder gives the loop to hear about uncaught errors.
#[derive(Clone)]
pub struct ErrorReporter(Rc<dyn Fn(&UncaughtError)>);

impl ErrorReporter {
    /// Wraps a function. It runs on the loop's thread, between two tasks or inside a script's `reportError`.
    pub fn new(report: impl Fn(&UncaughtError) + 'static) -> Self {
        Self(Rc::new(report))
    }

    pub(crate) fn report(&self, error: &UncaughtError) {
        (self.0)(error);
    }
}

impl Default for ErrorReporter {
    fn default() -> Self {
        Self::new(|error| tracing::error!(target: "we::js", "{}", error.text))
    }
}

/// An error that no script caught, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UncaughtError {
    /// What kind of error it was.
    pub kind: UncaughtErrorKind,
    /// The error's message on the first line, then its stack, one frame a line.
    pub text: String,
}

/// How an [`UncaughtError`] came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UncaughtErrorKind {
    /// A script threw it.
    Exception,
    /// A promise was rejected with it, and nothing handles the rejection.
    Rejection,
    /// The engine stopped the script: too much recursion, or another limit of the engine.
    Limit,
}

impl UncaughtError {
    /// Describes an exception or an error of the engine.
    #[must_use]
    pub fn exception(error: &JsError) -> Self {
        match error.as_engine() {
            Some(limit) => Self {
                kind: UncaughtErrorKind::Limit,
                text: format!("the engine stopped the script: {limit}"),
            },
            None => Self {
                kind: UncaughtErrorKind::Exception,
                text: format!("Uncaught {error}"),
            },
        }
    }

    /// Describes a rejection that nothing handles.
    #[must_use]
    pub fn rejection(reason: &JsValue) -> Self {
        Self {
            kind: UncaughtErrorKind::Rejection,
            text: format!(
                "Uncaught (in promise) {}",
                JsError::from_opaque(reason.clone())
            ),
        }
    }
}
