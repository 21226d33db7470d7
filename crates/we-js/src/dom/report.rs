//! Reporting exceptions: <https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception>
//!
//! What a script throws and nobody catches goes to the global `error` event first; what no listener there
//! prevents goes to the embedder's [`ErrorReporter`].

use std::{cell::Cell, rc::Rc};

use boa_engine::{Context, JsError, JsResult, JsString, JsValue, js_string, object::JsObject};

use super::{
    EventDetail, EventInit, EventTarget,
    dispatch::fire_with,
    events::{ErrorEvent, PromiseRejectionEvent},
};
use crate::binding::{This, from_utf8};

/// An exception or a rejection that nothing in the script handled.
#[derive(Clone, Debug)]
pub struct UncaughtError {
    /// What it was that was not handled.
    pub kind: UncaughtKind,
    /// The error in one line, as `TypeError: x is not a function`.
    pub message: String,
    /// The calls that led there, one a line, innermost first. Empty where the engine knows none.
    pub stack: String,
    /// Where it was thrown, where that is known.
    pub position: Option<Position>,
}

/// How an error went unhandled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncaughtKind {
    /// Thrown by a script, a callback or a listener.
    Exception,
    /// The reason of a promise that was rejected without a handler.
    Rejection,
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

/// Where unhandled errors go: a function of the embedder's.
#[derive(Clone)]
pub(crate) struct ErrorReporter {
    report: Rc<dyn Fn(&UncaughtError)>,
    /// "In error reporting mode": an error inside an `error` listener does not fire another event.
    reporting: Rc<Cell<bool>>,
}

impl ErrorReporter {
    pub(crate) fn new(report: Rc<dyn Fn(&UncaughtError)>) -> Self {
        Self { report, reporting: Rc::default() }
    }

    fn report(&self, error: &UncaughtError) {
        (self.report)(error);
    }
}

/// [Report an exception][spec] for the global object.
///
/// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception
pub(crate) fn report_exception(error: JsError, context: &mut Context) {
    let Some(reporter) = context.get_data::<ErrorReporter>().cloned() else {
        tracing::error!(target: "we::js", %error, "uncaught error, and no platform to report it to");
        return;
    };
    // An engine error (a runtime limit was passed) is no value that a script could be told of.
    if error.as_engine().is_some() {
        let message = format!("the script was stopped: {error}");
        let error = UncaughtError { kind: UncaughtKind::Exception, message, stack: String::new(), position: None };
        return reporter.report(&error);
    }
    let value = match error.into_opaque(context) {
        Ok(value) => value,
        Err(error) => {
            tracing::error!(target: "we::js", %error, "an uncaught error that has no value");
            return;
        }
    };
    report_value(value, &reporter, context);
}

/// The same for a value, as `reportError(value)` has it.
pub(crate) fn report_exception_value(value: JsValue, context: &mut Context) {
    report_exception(JsError::from_opaque(value), context);
}

fn report_value(value: JsValue, reporter: &ErrorReporter, context: &mut Context) {
    // 2. Extract error.
    let uncaught = describe(UncaughtKind::Exception, &value, context);
    // 6. "If global is not in error reporting mode"
    let mut not_handled = true;
    if !reporter.reporting.get()
        && let Some(global) = This::<EventTarget>::from_object(context.global_object())
    {
        reporter.reporting.set(true);
        let position = uncaught.position.clone();
        let detail = EventDetail::Error(ErrorEvent {
            message: from_utf8(&uncaught.message),
            filename: position.as_ref().map_or(js_string!(), |position| from_utf8(&position.source)),
            line: position.as_ref().map_or(0, |position| position.line),
            column: position.as_ref().map_or(0, |position| position.column),
            error: value,
        });
        not_handled = fire_with::<ErrorEvent>(&global, js_string!("error"), EventInit::CANCELABLE, detail, context)
            .unwrap_or(true);
        reporter.reporting.set(false);
    }
    // 7.
    if not_handled {
        reporter.report(&uncaught);
    }
}

/// Fires `unhandledrejection`, and reports the reason where no listener prevents that.
/// <https://html.spec.whatwg.org/multipage/webappapis.html#notify-about-rejected-promises> step 4.2
pub(crate) fn report_rejection(promise: JsObject, reason: JsValue, context: &mut Context) {
    let not_handled = fire_rejection("unhandledrejection", EventInit::CANCELABLE, promise, reason.clone(), context);
    if not_handled.unwrap_or(true)
        && let Some(reporter) = context.get_data::<ErrorReporter>().cloned()
    {
        let uncaught = describe(UncaughtKind::Rejection, &reason, context);
        reporter.report(&uncaught);
    }
}

/// Fires `rejectionhandled`: <https://html.spec.whatwg.org/multipage/webappapis.html#the-hostpromiserejectiontracker-implementation>
pub(crate) fn report_handled_rejection(promise: JsObject, reason: JsValue, context: &mut Context) {
    if let Err(error) = fire_rejection("rejectionhandled", EventInit::default(), promise, reason, context) {
        tracing::debug!(target: "we::js", %error, "rejectionhandled was not fired");
    }
}

fn fire_rejection(
    kind: &'static str,
    init: EventInit,
    promise: JsObject,
    reason: JsValue,
    context: &mut Context,
) -> JsResult<bool> {
    let Some(global) = This::<EventTarget>::from_object(context.global_object()) else { return Ok(true) };
    let detail = EventDetail::Rejection(PromiseRejectionEvent { promise, reason });
    fire_with::<PromiseRejectionEvent>(&global, JsString::from(kind), init, detail, context)
}

/// [Extract error](https://html.spec.whatwg.org/multipage/webappapis.html#extract-error) information from a value.
///
/// Reads `stack` and makes a string of the value, both of which may run script: what that throws is dropped.
pub(crate) fn describe(kind: UncaughtKind, value: &JsValue, context: &mut Context) -> UncaughtError {
    let mut stack = String::new();
    if let Some(object) = value.as_object()
        && let Ok(text) = object.get(js_string!("stack"), context)
        && let Some(text) = text.as_string()
    {
        stack = text.to_std_string_lossy();
    }
    let message = match value.to_string(context) {
        Ok(text) => text.to_std_string_lossy(),
        Err(_) => value.display().to_string(),
    };
    let position = stack.lines().find_map(position_in);
    UncaughtError { kind, message, stack, position }
}

/// The position that a line of the engine's stack names: `    at name (source:line:column)`.
fn position_in(line: &str) -> Option<Position> {
    let place = line.trim().strip_prefix("at ")?;
    let place = place.rsplit_once('(').map_or(place, |(_, place)| place.trim_end_matches(')'));
    let (place, column) = place.rsplit_once(':')?;
    let (source, line) = place.rsplit_once(':')?;
    Some(Position { source: source.to_owned(), line: line.parse().ok()?, column: column.parse().ok()? })
}
