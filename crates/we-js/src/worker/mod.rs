//! Workers: <https://html.spec.whatwg.org/multipage/workers.html>
//!
//! A dedicated worker is an agent of its own: a thread with a context, an event loop and a network. It shares no object
//! with the agent that has started it, only the bytes of a `SharedArrayBuffer` that one sends the other. The two exchange
//! messages through a channel whose ends are implicit ports ([`messaging`](crate::messaging)); what goes wrong in the
//! worker is told by tasks that its owner's loop is handed (`owner`).
//!
//! Its origin is that of its owner. A `data:` URL's is an opaque one, and where the owner has no origin, being no page, a
//! worker has one only if its script comes from a server: the server's.
//!
//! | file | what it holds |
//! |---|---|
//! | this one | `Worker`, as the script that starts one sees it |
//! | `owned` | the workers of an agent, and what keeps their objects alive |
//! | `agent` | the worker's thread, from its first to its last breath |
//! | `owner` | the way from a worker to the agent that started it |
//! | `scope` | the global object of a worker |
//! | `location` | `self.location` |
//! | `import_scripts` | `importScripts()` |
//!
//! # How a worker ends
//!
//! - `close()` in the worker: the task that runs is the last one.
//! - `terminate()` outside, or the end of the agent that started it: its script is stopped where it is, even in an
//!   endless loop ([`LoopHandle::terminate`](crate::LoopHandle::terminate) tells the limits of that).
//! - Nothing can happen in it any more: it waits for nothing and listens to nothing that others could send.
//! - Its script, or what a module worker imports, cannot be had: no script has run. Its object gets a plain `error` event.
//! - Its thread panics, by a bug: so does its object then, and the embedder hears of it if nobody listens.
//!
//! Each way, its connections are closed with 1001 (going away), its workers end and its ports close. The errors of a worker
//! that has ended by itself are still delivered; those of one that was terminated are not.
//!
//! A worker whose script is stuck in the engine, where it cannot be stopped (a search for a regular expression,
//! `Atomics.wait`), keeps its thread and memory until the process ends. It keeps nobody from going on without it: it no
//! longer counts as active, its connections are closed by its standby thread, and a program that is over waits a fraction
//! of a second for it, no longer.

mod agent;
mod import_scripts;
mod location;
mod owned;
mod owner;
mod scope;

#[cfg(test)]
mod tests;

use std::cell::RefCell;

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, object::JsObject,
};
use boa_gc::{Finalize, Trace};
use url::Url;

pub(crate) use self::{
    agent::WorkerAgent,
    location::WorkerLocation,
    scope::{DedicatedWorkerGlobalScope, WorkerGlobalScope},
};
use self::{
    owned::{OwnedWorker, Workers},
    owner::{Owner, WorkerId},
};
use crate::{
    binding::{Definition, Dictionary, Interface, NewTarget, This, usv_string},
    dom::{DomException, ErrorName, EventTarget, EventTargetObject, event_handler},
    event_loop::{LoopHandle, LoopState, ScriptKind},
    fetch::Target,
    messaging::{Behavior, ImplicitPort, PortEnd, post_message},
};

/// The state of a `Worker`: <https://html.spec.whatwg.org/multipage/workers.html#dedicated-workers-and-the-worker-interface>
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Worker {
    #[unsafe_ignore_trace]
    id: WorkerId,
    /// The [outside port](https://html.spec.whatwg.org/multipage/workers.html#outside-port); gone with the worker.
    #[unsafe_ignore_trace]
    port: RefCell<Option<ImplicitPort>>,
}

impl Interface for Worker {
    const NAME: &'static str = "Worker";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.constructor(1, construct);
        idl.operation("terminate", 0, |this, _, context| {
            terminate(this, context);
            Ok(JsValue::undefined())
        });
        idl.operation("postMessage", 1, |this, args, context| {
            let sender = this
                .state()
                .port
                .borrow()
                .as_ref()
                .map(ImplicitPort::sender);
            post_message(sender.as_ref(), args, context)?;
            Ok(JsValue::undefined())
        });
        event_handler::define(idl, "onerror");
        event_handler::define(idl, "onmessage");
        event_handler::define(idl, "onmessageerror");
        Ok(())
    }
}

/// [`WorkerOptions`](https://html.spec.whatwg.org/multipage/workers.html#workeroptions)
struct WorkerOptions {
    kind: ScriptKind,
    name: JsString,
}

impl WorkerOptions {
    /// Members in the order of their names, as WebIDL reads dictionaries.
    fn read(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let options = Dictionary::new(value)?;
        // No request of a script carries credentials here, whatever is chosen.
        enumeration(
            &options,
            "credentials",
            &["omit", "same-origin", "include"],
            context,
        )?;
        let name = options.string("name", context)?.unwrap_or_default();
        let kind = match enumeration(&options, "type", &["classic", "module"], context)? {
            Some("module") => ScriptKind::Module,
            _ => ScriptKind::Classic,
        };
        Ok(Self { kind, name })
    }
}

/// A member whose type is an [enumeration](https://webidl.spec.whatwg.org/#js-enumeration).
fn enumeration(
    dictionary: &Dictionary,
    name: &'static str,
    values: &[&'static str],
    context: &mut Context,
) -> JsResult<Option<&'static str>> {
    let Some(value) = dictionary.string(name, context)? else {
        return Ok(None);
    };
    let value = value.to_std_string_lossy();
    match values.iter().find(|known| **known == value) {
        Some(known) => Ok(Some(known)),
        None => Err(JsNativeError::typ()
            .with_message(format!(
                "Worker: \"{value}\" is no value of the option {name}"
            ))
            .into()),
    }
}

/// <https://html.spec.whatwg.org/multipage/workers.html#dom-worker>
fn construct(
    new_target: &NewTarget<Worker>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let script_url = usv_string(args.get_or_undefined(0), context)?;
    let options = WorkerOptions::read(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    // 2. to 4.
    let state = LoopState::of(context)?;
    let url = parse(&script_url, state.base_url())
        .map_err(|message| DomException::error(ErrorName::Syntax, &message, context))?;
    // 5. to 8.
    let id = WorkerId::next();
    let root = EventTargetObject::new(Worker {
        id,
        port: RefCell::default(),
    });
    let object = new_object.create(root, context)?;
    let (Some(worker), Some(target)) = (
        This::<Worker>::from_object(object.clone()),
        This::<EventTarget>::from_object(object.clone()),
    ) else {
        return Ok(object);
    };
    let (outside, inside) = PortEnd::pair();
    let behavior = Behavior {
        closed: |worker, context| {
            if let Some(worker) = This::<Worker>::from_object(worker.object().clone()) {
                let id = worker.state().id;
                Workers::of(context).remove(id);
                drop(worker.state().port.take());
            }
            Ok(())
        },
    };
    let port = ImplicitPort::adopt(outside, &target, behavior, context)?;
    port.start();
    *worker.state().port.borrow_mut() = Some(port);
    // 9.
    let handle = LoopHandle::new(Some(state.handle()));
    Workers::of(context).insert(
        id,
        OwnedWorker {
            object: worker,
            handle: handle.clone(),
        },
    );
    agent::start(agent::Birth {
        owner: Owner::new(state.handle().clone(), handle, id),
        port: Some(inside),
        script: Target::new(url),
        kind: options.kind,
        name: options.name.to_vec(),
        inheritance: agent::Inheritance::of(&state),
    });
    Ok(object)
}

/// [Encoding-parsing a URL](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#encoding-parsing-a-url)
fn parse(url: &str, base: Option<&Url>) -> Result<Url, String> {
    let parsed = Url::options().base_url(base).parse(url);
    parsed.map_err(|error| format!("\"{url}\" is not the URL of a script: {error}"))
}

/// <https://html.spec.whatwg.org/multipage/workers.html#terminate-a-worker>
fn terminate(worker: &This<Worker>, context: &mut Context) {
    let id = worker.state().id;
    let Some(owned) = Workers::of(context).remove(id) else {
        return;
    };
    if let Some(port) = worker.state().port.take() {
        port.close();
    }
    owned.handle.terminate();
    owned.handle.retire();
}
