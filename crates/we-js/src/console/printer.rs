//! Where the console prints to.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

/// How serious a message of the console is: the method that printed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsoleLevel {
    /// `console.debug`
    Debug,
    /// `console.log`, and what has no level of its own: `dir`, `table`, `group`.
    Log,
    /// `console.info`, `count`, `timeLog`, `timeEnd`
    Info,
    /// `console.warn`, and misuse of the console itself
    Warn,
    /// `console.error`, `trace`, and `assert` of something false
    Error,
}

/// A function that an embedder gives the event loop to receive what scripts print. The default writes errors and
/// warnings to the standard error stream and the rest to the standard output, each with a newline.
#[derive(Clone)]
pub struct ConsolePrinter(Arc<Print>);

type Print = dyn Fn(ConsoleLevel, &str) + Send + Sync;

impl ConsolePrinter {
    /// Wraps a function that gets a message, of one or several lines and without a newline at its end. Workers call it
    /// too, each on its own thread.
    pub fn new(print: impl Fn(ConsoleLevel, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(print))
    }

    pub(super) fn print(&self, level: ConsoleLevel, text: &str) {
        (self.0)(level, text);
    }
}

impl Default for ConsolePrinter {
    fn default() -> Self {
        Self::new(|level, text| {
            // Nobody can be told that nobody reads the output any more: that is no reason to stop the script.
            let _ = match level {
                ConsoleLevel::Warn | ConsoleLevel::Error => writeln!(io::stderr().lock(), "{text}"),
                _ => writeln!(io::stdout().lock(), "{text}"),
            };
        })
    }
}

impl fmt::Debug for ConsolePrinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsolePrinter")
    }
}
