//! What a script threw and nothing handled, as the embedder hears of it.

use std::{fmt, rc::Rc};

/// An exception or a rejection that nothing in the script handled.
///
/// Its [`Display`](fmt::Display) form is what a person should see: the error, then its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UncaughtError {
    /// How it came about.
    pub kind: UncaughtErrorKind,
    /// The error in one line, as `TypeError: x is not a function`.
    pub message: String,
    /// The calls that led there, one a line, innermost first. Empty where the engine knows none.
    pub stack: String,
    /// Where it was thrown, where that is known.
    pub position: Option<Position>,
}

/// How an [`UncaughtError`] came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UncaughtErrorKind {
    /// A script, a callback or a listener threw it.
    Exception,
    /// A promise was rejected with it, and nothing handles the rejection.
    Rejection,
    /// The engine stopped the script: too much recursion, or another limit of the engine.
    Limit,
    /// A worker could not run its script, or has ended by a bug of this program, and no script listens for that.
    Worker,
}

/// A place in a source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The path or URL of the source.
    pub source: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

impl fmt::Display for UncaughtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            UncaughtErrorKind::Rejection => "Uncaught (in promise) ",
            UncaughtErrorKind::Exception => "Uncaught ",
            UncaughtErrorKind::Limit | UncaughtErrorKind::Worker => "",
        })?;
        f.write_str(&self.message)?;
        for line in self.stack.lines() {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// A function that an embedder gives the event loop to hear of uncaught errors.
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
        Self::new(|error| tracing::error!(target: "we::js", "{error}"))
    }
}
