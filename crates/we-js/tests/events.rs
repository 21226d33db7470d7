//! Events and their dispatch: <https://dom.spec.whatwg.org/#events>

mod common;

use common::{expect, expect_values, run};

const TARGET: &str = "const target = new EventTarget; const fire = (t = 'x', init) => target.dispatchEvent(new Event(t, init));";

fn on_target(script: &str, log: &[&str]) {
    expect(&format!("{TARGET}{script}"), log);
}

#[test]
fn an_event_shows_its_target_only_while_it_is_dispatched() {
    on_target(
        "const e = new Event('x');
         const show = () => log(e.target === target, e.srcElement === target, e.currentTarget === target, e.eventPhase, e.composedPath().length);
         target.addEventListener('x', show); show(); target.dispatchEvent(e); show();",
        &["false false false 0 0", "true true true 2 1", "true true false 0 0"],
    );
}

#[test]
fn events_have_the_defaults_of_the_standard() {
    expect_values(
        "const e = new Event('x'); const b = new Event('y', { bubbles: 1, cancelable: 'yes', composed: true });",
        &[
            (
                "[e.type, e.bubbles, e.cancelable, e.composed, e.isTrusted, e.defaultPrevented, e.returnValue]",
                "x,false,false,false,false,false,true",
            ),
            ("[b.bubbles, b.cancelable, b.composed]", "true,true,true"),
            (
                "e.timeStamp > 0 && e.timeStamp <= performance.now()",
                "true",
            ),
            (
                "Object.getOwnPropertyDescriptor(e, 'isTrusted').configurable",
                "false",
            ),
            (
                "Object.getOwnPropertyDescriptor(e, 'isTrusted').get === Object.getOwnPropertyDescriptor(b, 'isTrusted').get",
                "true",
            ),
            ("new Event('x', null).type", "x"),
            ("new Event('x', 3)", "threw TypeError"),
            (
                "[Event.NONE, Event.CAPTURING_PHASE, Event.AT_TARGET, Event.BUBBLING_PHASE]",
                "0,1,2,3",
            ),
        ],
    );
}

#[test]
fn listeners_run_in_the_order_of_their_addition_capturing_ones_first() {
    on_target(
        "for (const [n, capture] of [[1, false], [2, true], [3, false], [4, true]])
             target.addEventListener('x', () => log(n), capture);
         fire();",
        &["2", "4", "1", "3"],
    );
}

#[test]
fn a_listener_is_added_once_for_each_type_callback_and_capture() {
    on_target(
        "const f = () => log('f'), o = { handleEvent() { log('o', this === o) } };
         target.addEventListener('x', f); target.addEventListener('x', f, { once: true });
         target.addEventListener('x', o); target.addEventListener('x', o);
         target.addEventListener('x', null); target.addEventListener('x', undefined);
         fire(); target.removeEventListener('x', f, true); fire(); target.removeEventListener('x', f); fire();",
        &["f", "o true", "f", "o true", "o true"],
    );
}

#[test]
fn handle_event_is_looked_up_at_each_call_and_its_absence_is_reported() {
    let outcome = run(&format!(
        "{TARGET} const o = {{}}; target.addEventListener('x', o); fire(); o.handleEvent = () => log('now'); fire();"
    ));
    assert_eq!(outcome.log, ["now"]);
    assert_eq!(
        outcome.uncaught,
        ["Uncaught TypeError: the listener's handleEvent is not a function"]
    );
}

#[test]
fn once_listeners_are_gone_before_they_run() {
    on_target(
        "target.addEventListener('x', () => { log('in'); fire(); }, { once: true }); fire(); fire();",
        &["in"],
    );
}

#[test]
fn listeners_that_come_and_go_during_a_dispatch_follow_the_copied_list() {
    on_target(
        "const late = () => log('late'), gone = () => log('gone');
         target.addEventListener('x', () => { target.removeEventListener('x', gone); target.addEventListener('x', late); }, { once: true });
         target.addEventListener('x', gone);
         fire(); log('-'); fire();",
        &["-", "late"],
    );
}

#[test]
fn propagation_can_be_stopped_between_phases_and_at_once() {
    on_target(
        "target.addEventListener('x', e => { log('capture'); e.stopPropagation() }, true);
         target.addEventListener('x', () => log('capture 2'), true);
         target.addEventListener('x', () => log('bubble'));
         target.addEventListener('y', e => { log('y'); e.stopImmediatePropagation(); log(e.cancelBubble) });
         target.addEventListener('y', () => log('y 2'));
         target.addEventListener('z', e => { e.cancelBubble = false; log(e.cancelBubble); e.cancelBubble = true; log(e.cancelBubble) });
         fire(); fire('y'); fire('z');",
        &["capture", "capture 2", "y", "true", "false", "true"],
    );
}

#[test]
fn only_cancelable_events_are_canceled_and_not_by_passive_listeners() {
    on_target(
        "target.addEventListener('x', e => e.preventDefault());
         target.addEventListener('p', e => { e.preventDefault(); log(e.defaultPrevented) }, { passive: true });
         target.addEventListener('r', e => { e.returnValue = true; e.returnValue = false; log(e.returnValue) });
         log(fire('x'), fire('x', { cancelable: true }), fire('p', { cancelable: true }), fire('r', { cancelable: true }));",
        &["false", "false", "true false true false"],
    );
}

#[test]
fn an_exception_in_a_listener_is_reported_and_the_next_listener_runs() {
    let outcome = run(&format!(
        "{TARGET} target.addEventListener('x', () => {{ throw new RangeError('no') }});
         target.addEventListener('x', () => log('next')); log(fire());"
    ));
    assert_eq!(outcome.log, ["next", "true"]);
    assert_eq!(outcome.uncaught, ["Uncaught RangeError: no"]);
}

#[test]
fn an_event_cannot_be_dispatched_while_it_is_being_dispatched() {
    on_target(
        "const e = new Event('x');
         target.addEventListener('x', () => { try { target.dispatchEvent(e) } catch (x) { log(x.name, x.code) } });
         target.dispatchEvent(e);
         try { target.dispatchEvent({}) } catch (x) { log(x.name) }",
        &["InvalidStateError 11", "TypeError"],
    );
}

#[test]
fn init_event_is_ignored_during_a_dispatch() {
    on_target(
        "const e = new Event('x'); e.initEvent('y', true, true); log(e.type, e.bubbles, e.cancelable);
         target.addEventListener('y', () => e.initEvent('z')); target.dispatchEvent(e); log(e.type);
         const m = new MessageEvent('m', { data: 1 }); m.initMessageEvent('n', false, false, 2, 'o'); log(m.type, m.data, m.origin);",
        &["y true true", "y", "n 2 o"],
    );
}

#[test]
fn addition_with_a_signal_ends_with_the_signal() {
    on_target(
        "const c = new AbortController; target.addEventListener('x', () => log('heard'), { signal: c.signal });
         fire(); c.abort(); fire();
         target.addEventListener('x', () => log('never'), { signal: c.signal }); fire();
         try { target.addEventListener('x', () => {}, { signal: {} }) } catch (e) { log(e.name) }",
        &["heard", "TypeError"],
    );
}

#[test]
fn options_are_read_in_the_order_of_their_names() {
    on_target(
        "const spy = new Proxy({}, { get(_, k) { log(String(k)) } });
         target.addEventListener('x', () => {}, spy); target.removeEventListener('x', () => {}, spy);",
        &["capture", "once", "passive", "signal", "capture"],
    );
}

#[test]
fn a_target_is_written_to_from_within_its_own_listener() {
    on_target(
        "target.addEventListener('x', function () { this.seen = true; log(this === target, target.seen) }); fire();",
        &["true true"],
    );
}

#[test]
fn event_handlers_are_listeners_with_a_place_of_their_own() {
    expect(
        "const c = new AbortController, s = c.signal;
         s.addEventListener('abort', () => log('first'));
         s.onabort = () => log('replaced');
         s.addEventListener('abort', () => log('last'));
         s.onabort = function (e) { log('handler', this === s, e.type, e.isTrusted) };
         c.abort();",
        &["first", "handler true abort true", "last"],
    );
}

#[test]
fn event_handlers_take_functions_and_objects_and_nothing_else() {
    expect_values(
        "const s = new AbortController().signal; const put = v => { s.onabort = v; return s.onabort };
         const f = () => {}, o = {};",
        &[
            ("s.onabort", "null"),
            ("put(f) === f", "true"),
            ("put(o) === o", "true"),
            ("put(3)", "null"),
            ("put('f')", "null"),
            ("put(undefined)", "null"),
        ],
    );
}

#[test]
fn a_handler_set_to_null_loses_its_place() {
    expect(
        "const c = new AbortController, s = c.signal;
         s.onabort = () => log('handler'); s.addEventListener('abort', () => log('listener'));
         s.onabort = null; s.onabort = () => log('handler again'); c.abort();",
        &["listener", "handler again"],
    );
}

#[test]
fn a_handler_that_returns_false_cancels() {
    expect(
        "addEventListener('error', e => log(e.defaultPrevented));
         onerror = (message, source, line, column, error) => { log(message, error.message, typeof line); return true };
         setTimeout(() => { throw new Error('seen') });
         addEventListener('error', e => log(e instanceof ErrorEvent, e.defaultPrevented, e.cancelable, e.error.message));",
        &["false", "Error: seen seen number", "true true true seen"],
    );
}

#[test]
fn an_error_in_an_error_listener_does_not_fire_another() {
    let outcome = run(
        "let n = 0; onerror = () => { n++; throw new Error('again') }; reportError(new Error('first')); log(n)",
    );
    assert_eq!(outcome.log, ["1"]);
    assert_eq!(
        outcome.uncaught,
        ["Uncaught Error: again", "Uncaught Error: first"]
    );
}

#[test]
fn report_error_takes_any_value() {
    let outcome = run(
        "reportError('just text'); reportError({ toString() { return 'odd' } }); reportError(null)",
    );
    assert_eq!(
        outcome.uncaught,
        ["Uncaught just text", "Uncaught odd", "Uncaught null"]
    );
    expect_values("", &[("reportError()", "threw TypeError")]);
}

#[test]
fn rejections_without_a_handler_fire_unhandledrejection() {
    let outcome = run(
        "addEventListener('unhandledrejection', e => { log(e.reason, e.promise instanceof Promise, e.cancelable); if (e.reason === 'mine') e.preventDefault() });
         onrejectionhandled = e => log('handled', e.reason);
         Promise.reject('mine'); Promise.reject('yours'); Promise.reject('caught').catch(() => {});
         const late = Promise.reject('mine'); setTimeout(() => late.catch(() => {}), 5);",
    );
    assert_eq!(
        outcome.log,
        [
            "mine true true",
            "yours true true",
            "mine true true",
            "handled mine"
        ]
    );
    assert_eq!(outcome.uncaught, ["Uncaught (in promise) yours"]);
}

#[test]
fn microtasks_run_after_each_listener_of_a_task_but_not_inside_dispatch_event() {
    on_target(
        "target.addEventListener('x', () => { log('a'); queueMicrotask(() => log('a micro')) });
         target.addEventListener('x', () => log('b'));
         fire(); log('sync');",
        &["a", "b", "sync", "a micro"],
    );
}

#[test]
fn the_events_of_other_standards_take_their_members() {
    expect_values(
        "const m = new MessageEvent('m', { data: 5, origin: 'o', lastEventId: 'l', ports: [] });
         const c = new CloseEvent('c', { wasClean: true, code: 1000, reason: 'bye' });
         const e = new ErrorEvent('e', { message: 'm', filename: 'f', lineno: 1, colno: 2, error: 3 });
         const p = Promise.resolve(), r = new PromiseRejectionEvent('r', { promise: p, reason: 4 });",
        &[
            ("[m.data, m.origin, m.lastEventId, m.source, m.ports.length, Object.isFrozen(m.ports)]", "5,o,l,,0,true"),
            ("m.ports === m.ports && new MessageEvent('m').ports.length === 0", "true"),
            ("[new MessageEvent('m').data, new MessageEvent('m').origin]", ","),
            ("new MessageEvent('m', { ports: [1] })", "threw TypeError"),
            ("[c.wasClean, c.code, c.reason]", "true,1000,bye"),
            ("[new CloseEvent('c').wasClean, new CloseEvent('c').code, new CloseEvent('c').reason]", "false,0,"),
            ("[e.message, e.filename, e.lineno, e.colno, e.error]", "m,f,1,2,3"),
            ("new ErrorEvent('e').error", "undefined"),
            ("r.promise === p && r.reason", "4"),
            ("new PromiseRejectionEvent('r', {})", "threw TypeError"),
            ("new CustomEvent('c', { detail: 6 }).detail", "6"),
        ],
    );
}

#[test]
fn dom_exceptions_have_names_codes_and_a_stack() {
    expect_values(
        "const d = new DOMException('text', 'AbortError'); const plain = new DOMException;",
        &[
            (
                "[d.name, d.message, d.code, String(d)]",
                "AbortError,text,20,AbortError: text",
            ),
            ("[plain.name, plain.message, plain.code]", "Error,,0"),
            (
                "[new DOMException('', 'NotReadableError').code, new DOMException('', 'DataCloneError').code]",
                "0,25",
            ),
            ("new DOMException('', 'QuotaExceededError').code", "22"),
            (
                "[DOMException.INDEX_SIZE_ERR, DOMException.DATA_CLONE_ERR, d.SYNTAX_ERR]",
                "1,25,12",
            ),
            ("typeof d.stack", "string"),
            ("Object.hasOwn(d, 'message')", "false"),
            ("Object.prototype.toString.call(d)", "[object DOMException]"),
        ],
    );
}

#[test]
fn a_replaced_stack_accessor_runs_in_no_exception_of_the_platform() {
    expect(
        "let reads = 0; const c = new AbortController;
         Object.defineProperty(Error.prototype, 'stack', { get() { reads++; c.abort('inner'); throw 1 }, configurable: true });
         c.signal.onabort = () => log('abort');
         try { new WebSocket('x:') } catch (e) { log(e.name) }
         c.abort(); log(c.signal.reason.name, reads);",
        &["SyntaxError", "abort", "AbortError 0"],
    );
}

#[test]
fn undefined_stands_for_the_default_of_an_optional_argument() {
    expect_values(
        "const m = new MessageEvent('m', { data: 1 }); m.initMessageEvent('n', false, false, undefined, undefined, undefined, undefined, undefined);
         const c = new CustomEvent('c', { detail: 1 }); c.initCustomEvent('d', false, false, undefined);",
        &[
            ("[m.data === null, m.source === null, m.origin === '', m.ports.length]", "true,true,true,0"),
            ("c.detail === null", "true"),
        ],
    );
}

#[test]
fn events_of_derived_interfaces_have_is_trusted_of_their_own() {
    expect_values(
        "const all = [new MessageEvent('m'), new CloseEvent('c'), new ErrorEvent('e'), new CustomEvent('c'),
             new PromiseRejectionEvent('r', { promise: Promise.resolve() })];
         const getter = e => Object.getOwnPropertyDescriptor(e, 'isTrusted')?.get;",
        &[
            ("all.map(e => e.isTrusted)", "false,false,false,false,false"),
            ("all.every(e => getter(e) === getter(new Event('x')))", "true"),
        ],
    );
    // Events of the platform are trusted, and those of a script's subclass are not.
    expect(
        "addEventListener('error', e => { log(e.constructor.name, e.isTrusted); e.preventDefault() });
         reportError(1); log(new class extends CloseEvent {}('c').isTrusted);",
        &["ErrorEvent true", "false"],
    );
}
