//! The global object as an event target: its event handlers, `self` and `reportError`.
//! <https://html.spec.whatwg.org/multipage/webappapis.html#windoworworkerglobalscope-mixin>

use boa_engine::{JsArgs, JsData, JsResult, JsValue, js_string, property::Attribute};
use boa_gc::{Finalize, Trace};

use super::{EventTarget, EventTargetObject, event_handler, report::report_exception_value};
use crate::{
    binding::{Definition, Interface},
    performance,
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
        Ok(())
    }
}

/// The members of the mixin `WindowOrWorkerGlobalScope` that are about the global object. The others are functions that
/// stand in modules of their own.
pub(crate) fn define_mixin<T: Interface>(idl: &mut Definition<'_, T>) {
    performance::define_attribute(idl);
    // <https://html.spec.whatwg.org/multipage/webappapis.html#dom-reporterror>
    idl.operation("reportError", 1, |_, args, context| {
        report_exception_value(args.get_or_undefined(0).clone(), context);
        Ok(JsValue::undefined())
    });
}
