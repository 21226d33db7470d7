//! [`LoopState::call_cleanly`]: calling script so that an exception leaves nothing on the engine's stack.
//!
//! When script that a native called throws from within a further call, the engine (0.22) unwinds the calls but not
//! the values that they had on its stack. They lie there until the script function that called the native returns, and
//! lift whatever is pushed above them: in `f(1, target.dispatchEvent(event))`, `f` would get wrong arguments if a
//! listener failed so. Where no script called the native, as in a task, they lie there for ever, and after some thousand
//! failed callbacks the engine's limit is reached and nothing runs any more.
//!
//! What a script function leaves on the stack is gone when it returns. So natives that go on when script throws call it
//! through a script function of our own, [`TRAMPOLINE`], which calls a native of ours, which calls the script and keeps
//! what comes of it.
//!
//! That costs some 150 ns. A task in which nothing has ever failed need not pay them: what a single failure leaves
//! behind there does no harm. So callbacks of tasks go this way from the first failure on, and all others always.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::object::builtins::JsFunction;
use boa_engine::{Context, JsObject, JsResult, JsValue, NativeFunction, Script, Source, js_string};

use super::LoopState;

/// A function that is called with the native to call, and returns a function that calls it. It looks up nothing that a
/// script could have changed.
const TRAMPOLINE: &str = "(run => () => { run() })";

/// What stacks show as the source of the trampoline.
pub(crate) const TRAMPOLINE_SOURCE: &str = "we:callback";

/// Steps that may run script.
type Steps = Box<dyn FnOnce(&mut Context) -> JsResult<JsValue>>;

/// The trampoline of a context, and what passes through it.
#[derive(Default)]
pub(super) struct CleanCalls {
    /// Made when first needed.
    trampoline: RefCell<Option<JsObject>>,
    steps: RefCell<Option<Steps>>,
    result: RefCell<Option<JsResult<JsValue>>>,
    /// Whether a callback of a task has ever failed.
    has_failed: Cell<bool>,
}

impl CleanCalls {
    pub(super) fn clear(&self) {
        self.trampoline.take();
        self.steps.take();
        self.result.take();
    }
}

impl LoopState {
    /// Calls a function of a script's on behalf of a native that goes on if it throws.
    pub(crate) fn call(
        self: &Rc<Self>,
        function: &JsObject,
        this: &JsValue,
        args: &[JsValue],
        context: &mut Context,
    ) -> JsResult<JsValue> {
        let calls = &self.clean_calls;
        if !calls.has_failed.get() && context.stack_trace().next().is_none() {
            let result = function.call(this, args, context);
            if result.is_err() {
                calls.has_failed.set(true);
            }
            return result;
        }
        let (function, this, args) = (function.clone(), this.clone(), args.to_vec());
        self.call_cleanly(move |context| function.call(&this, &args, context), context)
    }

    /// Runs steps that call script, so that they leave nothing on the engine's stack.
    pub(crate) fn call_cleanly(
        self: &Rc<Self>,
        steps: impl FnOnce(&mut Context) -> JsResult<JsValue> + 'static,
        context: &mut Context,
    ) -> JsResult<JsValue> {
        let trampoline = self.trampoline(context)?;
        let calls = &self.clean_calls;
        *calls.steps.borrow_mut() = Some(Box::new(steps));
        // It fails only where the engine stops the script, before or after the steps.
        let called = trampoline.call(&JsValue::undefined(), &[], context);
        drop(calls.steps.take());
        let result = calls.result.take();
        called?;
        result.unwrap_or_else(|| Ok(JsValue::undefined()))
    }

    fn trampoline(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(trampoline) = &*self.clean_calls.trampoline.borrow() {
            return Ok(trampoline.clone());
        }
        let native = NativeFunction::from_fn_ptr(run_steps);
        let native = FunctionObjectBuilder::new(context.realm(), native)
            .name(js_string!("callback"))
            .build();
        let source = Source::from_bytes(TRAMPOLINE).with_path(Path::new(TRAMPOLINE_SOURCE));
        let make = Script::parse(source, None, context)?.evaluate(context)?;
        let undefined = JsValue::undefined();
        let trampoline = match make.as_object().and_then(JsFunction::from_object) {
            Some(make) => make.call(&undefined, &[native.into()], context)?,
            None => undefined,
        };
        let trampoline = trampoline
            .as_object()
            .unwrap_or_else(JsObject::with_null_proto);
        *self.clean_calls.trampoline.borrow_mut() = Some(trampoline.clone());
        Ok(trampoline)
    }
}

/// The native that the trampoline calls.
fn run_steps(_: &JsValue, _: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let state = LoopState::of(context)?;
    let steps = state.clean_calls.steps.take();
    if let Some(steps) = steps {
        let result = steps(context);
        *state.clean_calls.result.borrow_mut() = Some(result);
    }
    Ok(JsValue::undefined())
}

/// [`LoopState::call`] in the context's loop; in a context without a loop, just a call.
pub(crate) fn call(
    function: &JsObject,
    this: &JsValue,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    match LoopState::of(context) {
        Ok(state) => state.call(function, this, args, context),
        Err(_) => function.call(this, args, context),
    }
}

/// [`LoopState::call_cleanly`] in the context's loop; in a context without a loop, just a call.
pub(crate) fn call_cleanly(
    steps: impl FnOnce(&mut Context) -> JsResult<JsValue> + 'static,
    context: &mut Context,
) -> JsResult<JsValue> {
    match LoopState::of(context) {
        Ok(state) => state.call_cleanly(steps, context),
        Err(_) => steps(context),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    const FAILURES: &str = "
        const g = () => { throw new RangeError('x') };
        addEventListener('error', e => e.preventDefault());
        const list = (...args) => JSON.stringify(args);
        let n = 0;
    ";

    #[track_caller]
    fn with_failures(table: &[(&str, &str)]) {
        for (script, expected) in table {
            cases(&[(&format!("{FAILURES} {script}"), expected)]);
        }
    }

    #[test]
    fn a_failure_within_a_callback_leaves_the_arguments_of_the_caller_alone() {
        with_failures(&[
            (
                "const t = new EventTarget(); t.addEventListener('x', () => { g() }); t.onx = null;
                 list(1, 2, t.dispatchEvent(new Event('x')), 'd')",
                "[1,2,true,\"d\"]",
            ),
            (
                "const t = new AbortController(); t.signal.onabort = () => { g() }; list(1, t.abort(), 2)",
                "[1,null,2]",
            ),
            (
                "const fail = () => { g() }, options = { get preventAbort() { fail() } };
                 list(1, new ReadableStream().pipeTo(new WritableStream(), options).catch(() => {}) instanceof Promise, 2)",
                "[1,true,2]",
            ),
            (
                "const s = new WritableStream({ write() { g() } }); const w = s.getWriter(); w.closed.catch(() => {});
                 list(1, 2, w.write(0).catch(() => {}) instanceof Promise, 3)",
                "[1,2,true,3]",
            ),
        ]);
    }

    #[test]
    fn any_number_of_callbacks_may_fail() {
        with_failures(&[
            (
                "const t = new EventTarget(); t.addEventListener('x', () => { n++; g() });
                 for (let i = 0; i < 3000; i++) t.dispatchEvent(new Event('x')); n",
                "3000",
            ),
            (
                "(async () => { for (let i = 0; i < 3000; i++) await Promise.resolve().then(() => { n++; g() }).catch(() => {}); return n })()",
                "3000",
            ),
            (
                "new Promise(done => { const c = new MessageChannel(); c.port1.onmessage = () => { if (++n === 3000) done(n); else c.port2.postMessage(0); g() }; c.port2.postMessage(0) })",
                "3000",
            ),
            (
                "new Promise(done => { for (let i = 0; i < 3000; i++) queueMicrotask(() => { if (++n === 3000) done(n); g() }) })",
                "3000",
            ),
            (
                "new Promise(done => { for (let i = 0; i < 3000; i++) setTimeout(() => { if (++n === 3000) done(n); g() }) })",
                "3000",
            ),
        ]);
    }
}
