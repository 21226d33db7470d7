//! The global object of a worker: <https://html.spec.whatwg.org/multipage/workers.html#the-workerglobalscope-common-interface>

use boa_engine::{
    Context, JsData, JsResult, JsString, JsValue, js_string, object::JsObject,
    property::PropertyDescriptor,
};
use boa_gc::{Finalize, Trace};

use super::{WorkerAgent, WorkerLocation, import_scripts::import_scripts};
use crate::{
    binding::{self, Definition, Interface, This},
    dom::{EventTarget, EventTargetObject, event_handler, global_scope},
    event_loop::LoopState,
    messaging::{ImplicitPort, post_message},
    navigator,
};

/// What the global object of a worker is besides an event target. Its state is the agent's ([`WorkerAgent`]).
#[derive(Default, Trace, Finalize)]
pub(crate) struct WorkerGlobalScope {
    dedicated: DedicatedWorkerGlobalScope,
}

impl Interface for WorkerGlobalScope {
    const NAME: &'static str = "WorkerGlobalScope";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind::<global_scope::GlobalScope>()?.worker()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.readonly("self", |this, _| Ok(this.object().clone()));
        idl.readonly("location", |_, context| location(context));
        idl.operation("importScripts", 0, |_, args, context| {
            import_scripts(args, context)
        });
        for name in [
            "onerror",
            "onlanguagechange",
            "onoffline",
            "ononline",
            "onrejectionhandled",
            "onunhandledrejection",
        ] {
            event_handler::define(idl, name);
        }
        navigator::define_attribute::<_, true>(idl);
        global_scope::define_mixin(idl);
        Ok(())
    }
}

/// The realm's only `WorkerLocation`, from when a script first asked for it.
#[derive(Trace, Finalize, JsData)]
struct SameLocation(JsObject);

fn location(context: &mut Context) -> JsResult<JsValue> {
    let known = context
        .realm()
        .host_defined()
        .get::<SameLocation>()
        .map(|same| same.0.clone());
    if let Some(object) = known {
        return Ok(object.into());
    }
    let Some(agent) = WorkerAgent::of(context) else {
        return Ok(JsValue::undefined());
    };
    let location =
        binding::create::<WorkerLocation>(WorkerLocation::new(agent.url.clone()), context)?;
    let object = location.object().clone();
    let realm = context.realm().clone();
    realm
        .host_defined_mut()
        .insert(SameLocation(object.clone()));
    Ok(object.into())
}

/// <https://html.spec.whatwg.org/multipage/workers.html#dedicatedworkerglobalscope>
#[derive(Default, Trace, Finalize)]
pub(crate) struct DedicatedWorkerGlobalScope;

impl Interface for DedicatedWorkerGlobalScope {
    const NAME: &'static str = "DedicatedWorkerGlobalScope";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        WorkerGlobalScope::project(root).map(|scope| &scope.dedicated)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<WorkerGlobalScope>()?;
        idl.attribute(
            "name",
            |_, context| {
                Ok(WorkerAgent::of(context).map_or(js_string!(), |agent| agent.name.clone()))
            },
            replace_name,
        );
        idl.operation("postMessage", 1, |_, args, context| {
            let sender = WorkerAgent::of(context)
                .and_then(|agent| agent.port.borrow().as_ref().map(ImplicitPort::sender));
            post_message(sender.as_ref(), args, context)?;
            Ok(JsValue::undefined())
        });
        // https://html.spec.whatwg.org/multipage/workers.html#close-a-worker
        idl.operation("close", 0, |_, _, context| {
            LoopState::of(context)?.close_agent();
            Ok(JsValue::undefined())
        });
        event_handler::define(idl, "onmessage");
        event_handler::define(idl, "onmessageerror");
        Ok(())
    }
}

/// [`[Replaceable]`](https://webidl.spec.whatwg.org/#Replaceable)
fn replace_name(
    this: &This<DedicatedWorkerGlobalScope>,
    value: &JsValue,
    context: &mut Context,
) -> JsResult<()> {
    let replacement = PropertyDescriptor::builder()
        .value(value.clone())
        .writable(true)
        .enumerable(true)
        .configurable(true);
    let name: JsString = js_string!("name");
    this.object()
        .define_property_or_throw(name, replacement, context)?;
    Ok(())
}
