//! Reporting exceptions: <https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception>
//!
//! What a script throws and nobody catches goes to the global `error` event first; what no listener there
//! prevents goes to the embedder's [`ErrorReporter`].

use boa_engine::{Context, JsError, JsResult, JsString, JsValue, js_string, object::JsObject};

use super::{
    EventDetail, EventInit, EventTarget,
    dispatch::fire_with,
    events::{ErrorEvent, PromiseRejectionEvent},
};
use crate::{
    agent::Agent,
    binding::{Primordials, This, from_utf8},
    event_loop::{EventResult, LoopState, TRAMPOLINE_SOURCE},
    uncaught::{Position, UncaughtError, UncaughtErrorKind},
};

/// [Report an exception][spec] for the global object.
///
/// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception
pub(crate) fn report_exception(error: JsError, context: &mut Context) {
    // An engine error (a runtime limit was passed) is no value that a script could be told of.
    if error.as_engine().is_some() {
        // That it was stopped from outside is no error of the script.
        if LoopState::of(context).is_ok_and(|state| state.is_terminated()) {
            return;
        }
        let message = format!("the engine stopped the script: {error}");
        let error = UncaughtError {
            kind: UncaughtErrorKind::Limit,
            message,
            stack: String::new(),
            position: None,
        };
        return tell_embedder(&error, context);
    }
    // A thrown value that is no object has no stack of its own, but the engine knows where it was thrown.
    let stack = match error.as_opaque() {
        Some(value) if !value.is_object() => engine_stack(&error),
        _ => String::new(),
    };
    match error.into_opaque(context) {
        Ok(value) if is_muted(&value, &stack, context) => {
            report(muted(), JsValue::null(), context);
        }
        Ok(value) => report_value(value, stack, context),
        Err(error) => {
            tracing::error!(target: "we::js", %error, "an uncaught error that has no value")
        }
    }
}

/// Whether it was a script of another origin that has thrown: steps 3 and 4, "found in an implementation-defined way". The
/// engine tells it of errors and of what is no object.
fn is_muted(value: &JsValue, stack: &str, context: &mut Context) -> bool {
    let state = LoopState::of(context).ok();
    let Some(state) = state.filter(|state| state.mutes_errors()) else {
        return false;
    };
    let own_stack = Primordials::get(context, |it| &it.error_stack)
        .and_then(|get| get.call(value, &[], context))
        .ok()
        .and_then(|text| text.as_string())
        .map(|text| without_trampoline(&text.to_std_string_lossy()));
    let stack = own_stack.as_deref().unwrap_or(stack);
    let thrown_at = stack.lines().find_map(position_in);
    thrown_at.is_some_and(|place| state.mutes_errors_of(&place.source))
}

/// All that is told of an error whose script is of another origin.
fn muted() -> UncaughtError {
    UncaughtError {
        kind: UncaughtErrorKind::Exception,
        message: "Script error.".to_owned(),
        stack: String::new(),
        position: None,
    }
}

/// The same for a value, as `reportError(value)` has it.
pub(crate) fn report_exception_value(value: JsValue, context: &mut Context) {
    // Where `reportError` was called, for a value that cannot tell where it comes from.
    let stack = script_stack(context);
    report_value(value, stack, context);
}

/// The positions of the script's frames, as the engine shows them with an error.
fn script_stack(context: &Context) -> String {
    let lines = context.stack_trace().filter_map(|frame| {
        let place = frame.position();
        let position = place.position?;
        Some(format!(
            "    at {} ({}:{}:{})",
            place.function_name.to_std_string_lossy(),
            place.path,
            position.line_number(),
            position.column_number()
        ))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `stack` is where the value was thrown, for a value that cannot tell that itself.
fn report_value(value: JsValue, stack: String, context: &mut Context) {
    // 2. Extract error.
    let mut uncaught = describe(UncaughtErrorKind::Exception, &value, context);
    if uncaught.stack.is_empty() {
        uncaught.position = stack.lines().find_map(position_in);
        uncaught.stack = stack;
    }
    report(uncaught, value, context);
}

/// [Report an exception][spec] of a worker that nothing there handled, "with omitError set to true": to the worker's
/// object, unless that is gone, then to this agent's global object.
///
/// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception
pub(crate) fn report_worker_error(
    worker: Option<&This<EventTarget>>,
    uncaught: &UncaughtError,
    context: &mut Context,
) {
    // 7.1.2
    let not_handled =
        worker.is_none_or(|worker| fire_error(worker, uncaught, JsValue::null(), context));
    // 7.1.3
    if not_handled {
        report(uncaught.clone(), JsValue::null(), context);
    }
}

/// Fires `error`. Returns whether no listener has prevented what follows.
fn fire_error(
    target: &This<EventTarget>,
    uncaught: &UncaughtError,
    error: JsValue,
    context: &mut Context,
) -> bool {
    let position = uncaught.position.as_ref();
    let detail = EventDetail::Error(ErrorEvent {
        message: from_utf8(&uncaught.message),
        filename: position.map_or(js_string!(), |position| from_utf8(&position.source)),
        line: position.map_or(0, |position| position.line),
        column: position.map_or(0, |position| position.column),
        error,
    });
    let fired = fire_with::<ErrorEvent>(
        target,
        js_string!("error"),
        EventInit::CANCELABLE,
        detail,
        context,
    );
    fired.unwrap_or(true)
}

fn report(uncaught: UncaughtError, value: JsValue, context: &mut Context) {
    // 6. "If global is not in error reporting mode"
    let platform = Agent::of(context);
    let mut not_handled = true;
    if !platform.reports_error.replace(true) {
        if let Some(global) = This::<EventTarget>::from_object(context.global_object()) {
            not_handled = fire_error(&global, &uncaught, value, context);
        }
        platform.reports_error.set(false);
    }
    // 7.
    if not_handled {
        tell_embedder(&uncaught, context);
    }
}

/// Hands an error to the embedder, or, in a worker, to the agent that started it.
pub(crate) fn tell_embedder(error: &UncaughtError, context: &Context) {
    match LoopState::of(context) {
        Ok(state) => state.report_to_embedder(error),
        Err(_) => tracing::error!(target: "we::js", "{error}"),
    }
}

/// Fires `unhandledrejection`, and reports the reason where no listener prevents that.
/// <https://html.spec.whatwg.org/multipage/webappapis.html#notify-about-rejected-promises> step 4.1.2
pub(crate) fn report_rejection(
    promise: JsObject,
    reason: JsValue,
    context: &mut Context,
) -> EventResult {
    let fired = fire_rejection(
        "unhandledrejection",
        EventInit::CANCELABLE,
        promise,
        reason.clone(),
        context,
    );
    if !fired.unwrap_or(true) {
        return EventResult::Canceled;
    }
    let uncaught = describe(UncaughtErrorKind::Rejection, &reason, context);
    tell_embedder(&uncaught, context);
    EventResult::NotCanceled
}

/// Fires `rejectionhandled`: <https://html.spec.whatwg.org/multipage/webappapis.html#the-hostpromiserejectiontracker-implementation>
pub(crate) fn report_handled_rejection(promise: JsObject, reason: JsValue, context: &mut Context) {
    if let Err(error) = fire_rejection(
        "rejectionhandled",
        EventInit::default(),
        promise,
        reason,
        context,
    ) {
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
    let Some(global) = This::<EventTarget>::from_object(context.global_object()) else {
        return Ok(true);
    };
    let detail = EventDetail::Rejection(PromiseRejectionEvent { promise, reason });
    fire_with::<PromiseRejectionEvent>(&global, JsString::from(kind), init, detail, context)
}

/// [Extract error](https://html.spec.whatwg.org/multipage/webappapis.html#extract-error) information from a value.
///
/// Reads `stack` and makes a string of the value, both of which may run script: what that throws is dropped.
pub(crate) fn describe(
    kind: UncaughtErrorKind,
    value: &JsValue,
    context: &mut Context,
) -> UncaughtError {
    let mut stack = String::new();
    if let Some(object) = value.as_object()
        && let Ok(text) = object.get(js_string!("stack"), context)
        && let Some(text) = text.as_string()
    {
        stack = without_trampoline(&text.to_std_string_lossy());
    }
    let message = match value.to_string(context) {
        Ok(text) => text.to_std_string_lossy(),
        // The engine's own way to show an object walks through all of it.
        Err(_) if value.is_object() => "an object that cannot be made a string".to_owned(),
        Err(_) => value.display().to_string(),
    };
    let position = stack.lines().find_map(position_in);
    UncaughtError {
        kind,
        message,
        stack,
        position,
    }
}

/// The stack that the engine shows with an error.
fn engine_stack(error: &JsError) -> String {
    let text = error.to_string();
    let lines = text.lines().filter(|line| line.starts_with("    at "));
    without_trampoline(&lines.collect::<Vec<_>>().join("\n"))
}

/// A stack without the calls by which the event loop has called a callback: a line of the trampoline's source, and the
/// native's above it.
fn without_trampoline(stack: &str) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for line in stack.lines() {
        if line.contains(TRAMPOLINE_SOURCE) {
            shown.pop();
        } else {
            shown.push(line);
        }
    }
    shown.join("\n")
}

/// The position that a line of the engine's stack names: `    at name (source:line:column)`.
fn position_in(line: &str) -> Option<Position> {
    let place = line.trim().strip_prefix("at ")?;
    // The source may be a URL with parentheses in it; a name has none.
    let place = place
        .strip_suffix(')')
        .and_then(|place| place.split_once(" ("))
        .map_or(place, |(_, place)| place);
    let (place, column) = place.rsplit_once(':')?;
    let (source, line) = place.rsplit_once(':')?;
    Some(Position {
        source: source.to_owned(),
        line: line.parse().ok()?,
        column: column.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn a_reported_value_that_is_no_error_has_the_position_of_the_call() {
        cases(&[(
            "let e; onerror = (...args) => { e = args; return true };
             (function f() {
                 reportError('x') })();
             [e[0], e[2], e[3] > 17, e[4]].join()",
            "x,3,true,x",
        )]);
    }
}
