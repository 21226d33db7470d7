//! [`Agent`]: the state of an agent that is neither the event loop's nor JavaScript's.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Instant, SystemTime},
};

use boa_engine::Context;

/// An agent's clock and flags.
pub(crate) struct Agent {
    /// <https://w3c.github.io/hr-time/#dfn-time-origin>
    time_origin: Instant,
    /// The same by the wall clock, in milliseconds since 1970.
    time_origin_of_wall_clock: f64,
    /// Whether the global object is [in error reporting mode][mode]: an error in an `error` listener does not
    /// fire another event.
    ///
    /// [mode]: https://html.spec.whatwg.org/multipage/webappapis.html#in-error-reporting-mode
    pub(crate) reports_error: Cell<bool>,
}

impl Agent {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            time_origin: Instant::now(),
            time_origin_of_wall_clock: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0.0, |time| time.as_secs_f64() * 1000.0),
            reports_error: Cell::new(false),
        })
    }

    /// The agent that the platform was installed for in this context.
    pub(crate) fn of(context: &Context) -> Rc<Self> {
        context
            .get_data::<Rc<Self>>()
            .cloned()
            .unwrap_or_else(Self::new)
    }

    /// The time origin in milliseconds since 1970: `performance.timeOrigin`.
    pub(crate) fn time_origin(&self) -> f64 {
        self.time_origin_of_wall_clock
    }

    /// Milliseconds since the time origin, with their fraction: `performance.now()` and `event.timeStamp`.
    ///
    /// Not [coarsened](https://w3c.github.io/hr-time/#dfn-coarsen-time): a shell runs scripts that its user
    /// chose, and they may measure as finely as the clock allows.
    pub(crate) fn now(&self) -> f64 {
        self.time_origin.elapsed().as_secs_f64() * 1000.0
    }
}
