//! What the tests of this crate share: a context with the platform, and tables of scripts.
#![allow(clippy::unwrap_used)]

use boa_engine::{
    Context, JsError, JsResult, JsValue, Source, builtins::promise::PromiseState,
    object::builtins::JsPromise,
};

pub(crate) mod http;

use std::rc::Rc;

use crate::{
    EventLoop, LoopHandle, Options,
    platform::{Host, Scope},
};

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

/// Two collections: the first may find objects that the last job has looked at.
pub(crate) fn collect(context: &mut Context) {
    for _ in 0..2 {
        context.clear_kept_objects();
        boa_gc::force_collect();
    }
}

/// An event loop and a context in which the platform is installed.
pub(crate) struct Agent {
    event_loop: EventLoop,
    pub(crate) context: Context,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::with_handle(LoopHandle::new(None), options)
    }

    /// An agent whose handle was made before it, perhaps as one of another agent's cluster.
    pub(crate) fn with_handle(handle: LoopHandle, options: Options) -> Self {
        // A buffer limit that tests reach.
        let options = Options {
            max_buffer_size: 1 << 20,
            ..options
        };
        let event_loop =
            EventLoop::with_handle(handle, options, Rc::new(Host(Scope::Main))).unwrap();
        let mut context = event_loop.context_builder().build().unwrap();
        event_loop.install(&mut context).unwrap();
        context.eval(Source::from_bytes(PRELUDE)).unwrap();
        Self {
            event_loop,
            context,
        }
    }

    pub(crate) fn handle(&self) -> LoopHandle {
        self.event_loop.handle()
    }

    /// Runs the loop of an agent that is not its cluster's first, until it is terminated.
    pub(crate) fn run(&mut self) {
        self.event_loop.run(&mut self.context).unwrap();
    }

    /// Runs a script until nothing is pending: its value as a string, or what it threw. A promise is waited for.
    pub(crate) fn eval(&mut self, script: &str) -> Result<String, String> {
        let value = self.evaluate(script).map_err(|error| error.to_string())?;
        let value = value
            .to_string(&mut self.context)
            .map_err(|error| error.to_string())?;
        Ok(value.to_std_string_lossy())
    }

    fn evaluate(&mut self, script: &str) -> JsResult<JsValue> {
        let value = self.context.eval(Source::from_bytes(script))?;
        self.event_loop.run(&mut self.context).unwrap();
        let Some(Ok(promise)) = value.as_object().map(JsPromise::from_object) else {
            return Ok(value);
        };
        match promise.state() {
            PromiseState::Fulfilled(value) => Ok(value),
            PromiseState::Rejected(reason) => Err(JsError::from_opaque(reason)),
            PromiseState::Pending => panic!("still pending: {script}"),
        }
    }
}

/// Runs a script in a context of its own: its value as a string, or what it threw. A promise is waited for.
pub(crate) fn eval(script: &str) -> Result<String, String> {
    Agent::new().eval(script)
}

/// Runs scripts, each in a context of its own, and compares the string of its value.
#[track_caller]
pub(crate) fn cases(table: &[(&str, &str)]) {
    for (script, expected) in table {
        assert_eq!(eval(script).as_deref(), Ok(*expected), "{script}");
    }
}
