//! What the operator sees: the libraries' `tracing` events as lines on stderr.
//!
//! A warning or an error looks as a complaint of the shell itself does, `we: what happened`; details, which
//! `--trace-net` or the environment variable `WE_LOG` turns on, carry their level.

use std::{env, fmt, io::IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// What is shown unless the user says otherwise.
const DEFAULT: &str = "warn";

/// Starts to listen at the levels of `WE_LOG` (in the form `we=debug`), or else to warnings; in either case to all that
/// happens in the network if `traces_net`.
pub(crate) fn start(traces_net: bool) {
    let of_network = if traces_net { ",we::net=trace" } else { "" };
    let levels = env::var("WE_LOG").unwrap_or_else(|_| String::from(DEFAULT));
    let levels = EnvFilter::try_new(levels + of_network)
        .unwrap_or_else(|_| EnvFilter::new(String::from(DEFAULT) + of_network));
    tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Lines)
        .init();
}

struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str("we: ")?;
        let level = *event.metadata().level();
        if level > Level::WARN {
            write!(writer, "[{}] ", level.as_str().to_ascii_lowercase())?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
