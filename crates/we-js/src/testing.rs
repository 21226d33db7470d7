//! What the tests of this crate share: a context with the platform, and tables of scripts.
#![allow(clippy::unwrap_used)]

use std::rc::Rc;

use boa_engine::{
    Context, JsError, JsResult, JsValue, Source,
    builtins::promise::PromiseState,
    context::{ContextBuilder, HostHooks, intrinsics::Intrinsics},
    object::{JsObject, builtins::JsPromise},
};

use crate::platform;

/// What every script of a test may use.
const PRELUDE: &str = r#"
    // The name of what `f` throws, a DOMException's with its code.
    globalThis.error = f => {
        try { f() } catch (e) { return e instanceof DOMException ? `${e.name} ${e.code}` : e.name ?? `thrown ${e}` }
        return 'nothing thrown';
    };
    // The same for what a promise is rejected with.
    globalThis.rejection = async promise => {
        try { await promise } catch (e) { return error(() => { throw e }) }
        return 'fulfilled';
    };
"#;

struct Hooks;

impl HostHooks for Hooks {
    fn create_global_object(&self, intrinsics: &Intrinsics) -> JsObject {
        platform::create_global_object(intrinsics)
    }

    /// Small, so that tests reach it.
    fn max_buffer_size(&self, _context: &mut Context) -> u64 {
        1 << 20
    }
}

/// A context in which the platform is installed.
pub(crate) fn context() -> Context {
    let mut context = ContextBuilder::new().host_hooks(Rc::new(Hooks)).build().unwrap();
    platform::install(&mut context).unwrap();
    context.eval(Source::from_bytes(PRELUDE)).unwrap();
    context
}

/// Runs a script in a context of its own: its value as a string, or what it threw. A promise is waited for.
pub(crate) fn eval(script: &str) -> Result<String, String> {
    eval_in(script, &mut context())
}

/// Runs a script in `context`.
pub(crate) fn eval_in(script: &str, context: &mut Context) -> Result<String, String> {
    let value = evaluate(script, context).map_err(|error| error.to_string())?;
    Ok(value.to_string(context).map_err(|error| error.to_string())?.to_std_string_lossy())
}

fn evaluate(script: &str, context: &mut Context) -> JsResult<JsValue> {
    let value = context.eval(Source::from_bytes(script))?;
    context.run_jobs()?;
    let Some(Ok(promise)) = value.as_object().map(JsPromise::from_object) else { return Ok(value) };
    match promise.state() {
        PromiseState::Fulfilled(value) => Ok(value),
        PromiseState::Rejected(reason) => Err(JsError::from_opaque(reason)),
        PromiseState::Pending => panic!("still pending: {script}"),
    }
}

/// Runs scripts, each in a context of its own, and compares the string of its value.
#[track_caller]
pub(crate) fn cases(table: &[(&str, &str)]) {
    for (script, expected) in table {
        assert_eq!(eval(script).as_deref(), Ok(*expected), "{script}");
    }
}
