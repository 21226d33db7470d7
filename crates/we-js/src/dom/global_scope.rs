//! The global object as an event target: its event handlers, `self` and `reportError`.
//! <https://html.spec.whatwg.org/multipage/webappapis.html#windoworworkerglobalscope-mixin>

use boa_engine::{JsArgs, JsData, JsResult, JsSymbol, JsValue, js_string, property::Attribute};
use boa_gc::{Finalize, Trace};

use super::{EventTarget, EventTargetObject, event_handler, report::report_exception_value};
use crate::{
    binding::{Definition, Interface, from_utf8},
    event_loop::LoopState,
    navigator, performance,
    worker::WorkerGlobalScope,
};

/// What the global object of a script is besides an event target.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct GlobalScope {
    worker: Option<WorkerGlobalScope>,
}

impl GlobalScope {
    /// That of an embedder's own agent.
    pub(crate) fn of_main_agent() -> Self {
        Self { worker: None }
    }

    pub(crate) fn of_worker() -> Self {
        Self {
            worker: Some(WorkerGlobalScope::default()),
        }
    }

    pub(crate) fn worker(&self) -> Option<&WorkerGlobalScope> {
        self.worker.as_ref()
    }
}

impl Interface for GlobalScope {
    const NAME: &'static str = "GlobalScope";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        let global = idl.context().global_object();
        idl.property(js_string!("self"), global, Attribute::all());
        event_handler::define(idl, "onerror");
        event_handler::define(idl, "onunhandledrejection");
        event_handler::define(idl, "onrejectionhandled");
        define_mixin(idl);
        navigator::define_attribute::<_, false>(idl);
        // Neither a Window nor a worker's: the name that other runtimes give to such a global object.
        idl.property(
            JsSymbol::to_string_tag(),
            js_string!("global"),
            Attribute::CONFIGURABLE,
        );
        Ok(())
    }
}

/// The members of the mixin `WindowOrWorkerGlobalScope` that are about the global object. The others are functions that
/// stand in modules of their own.
pub(crate) fn define_mixin<T: Interface>(idl: &mut Definition<'_, T>) {
    performance::define_attribute(idl);
    // https://html.spec.whatwg.org/multipage/webappapis.html#dom-origin
    idl.replaceable("origin", |_, context| {
        let origin = LoopState::of(context)?.serialized_origin();
        Ok(from_utf8(&origin))
    });
    // https://html.spec.whatwg.org/multipage/webappapis.html#dom-issecurecontext
    idl.readonly("isSecureContext", |_, context| {
        Ok(LoopState::of(context)?.is_secure_context())
    });
    // https://html.spec.whatwg.org/multipage/webappapis.html#dom-crossoriginisolated: no headers ask for it here.
    idl.readonly("crossOriginIsolated", |_, _| Ok(false));
    // <https://html.spec.whatwg.org/multipage/webappapis.html#dom-reporterror>
    idl.operation("reportError", 1, |_, args, context| {
        report_exception_value(args.get_or_undefined(0).clone(), context);
        Ok(JsValue::undefined())
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::{
        Options,
        testing::{Agent, cases},
    };

    #[test]
    fn the_global_object_is_no_window() {
        cases(&[
            (
                "[Object.prototype.toString.call(globalThis), globalThis instanceof EventTarget, typeof Window, typeof event, origin].join()",
                "[object global],true,undefined,undefined,null",
            ),
            (
                "const before = Object.getOwnPropertyDescriptor(globalThis, 'origin'); origin = 1; performance = 2;
                 [typeof before.set, before.enumerable, origin, performance, Object.getOwnPropertyDescriptor(globalThis, 'origin').writable].join()",
                "function,true,1,2,true",
            ),
        ]);
        let mut agent = Agent::with(Options {
            base_url: Some("https://example.com:8443/x".parse().unwrap()),
            ..Options::default()
        });
        assert_eq!(agent.eval("origin"), Ok("https://example.com:8443".into()));
    }

    #[test]
    fn a_context_is_secure_unless_it_comes_from_a_server_that_is_not() {
        for (base_url, is_secure) in [
            (None, "true"),
            (Some("file:///x"), "true"),
            (Some("https://example.com"), "true"),
            (Some("wss://example.com"), "true"),
            (Some("http://example.com"), "false"),
            (Some("http://localhost.example.com"), "false"),
            (Some("http://localhost:1"), "true"),
            (Some("http://a.localhost"), "true"),
            (Some("http://127.1.2.3"), "true"),
            (Some("http://[::1]:2"), "true"),
            (Some("http://128.0.0.1"), "false"),
        ] {
            let mut agent = Agent::with(Options {
                base_url: base_url.map(|url| url.parse().unwrap()),
                ..Options::default()
            });
            let expected = format!("{is_secure},false");
            assert_eq!(
                agent.eval("[isSecureContext, crossOriginIsolated].join()"),
                Ok(expected),
                "{base_url:?}"
            );
        }
    }
}
