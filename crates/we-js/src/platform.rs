//! What ties the platform together in one context: the state that natives find through their `Context`, and
//! [`install`], which defines every interface and global.

use std::{rc::Rc, time::Instant};

use boa_engine::{Context, JsResult, context::intrinsics::Intrinsics, object::JsObject};

use crate::{
    binding::register,
    dom::{DomException, Event, EventTarget, EventTargetObject, TargetKind, events},
};

/// State of the platform that is neither the event loop's nor JavaScript's.
pub(crate) struct Platform {
    /// <https://w3c.github.io/hr-time/#dfn-time-origin>
    time_origin: Instant,
}

impl Platform {
    /// The platform that was installed in this context.
    pub(crate) fn of(context: &Context) -> Rc<Self> {
        context.get_data::<Rc<Self>>().cloned().unwrap_or_else(|| Rc::new(Self { time_origin: Instant::now() }))
    }

    /// Milliseconds since the time origin, with their fraction: `performance.now()` and `event.timeStamp`.
    ///
    /// Not [coarsened](https://w3c.github.io/hr-time/#dfn-coarsen-time): a shell runs scripts that its user
    /// chose, and they may measure as finely as the clock allows.
    pub(crate) fn now(&self) -> f64 {
        self.time_origin.elapsed().as_secs_f64() * 1000.0
    }
}

/// The global object of a new realm: an event target. For [`boa_engine::context::HostHooks::create_global_object`].
pub(crate) fn create_global_object(intrinsics: &Intrinsics) -> JsObject {
    let prototype = intrinsics.constructors().object().prototype();
    JsObject::from_proto_and_data(prototype, EventTargetObject::new(TargetKind::Global))
}

/// Defines the interfaces and globals in the context's current realm.
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    context.insert_data(Rc::new(Platform { time_origin: Instant::now() }));
    register::<Event>(context)?;
    register::<events::MessageEvent>(context)?;
    register::<events::CloseEvent>(context)?;
    register::<events::ErrorEvent>(context)?;
    register::<events::PromiseRejectionEvent>(context)?;
    register::<events::CustomEvent>(context)?;
    register::<DomException>(context)?;
    register::<EventTarget>(context)?;
    Ok(())
}

#[cfg(test)]
mod smoke {
    use super::*;
    use boa_engine::{
        Source,
        context::{ContextBuilder, HostHooks},
    };
    struct H;
    impl HostHooks for H {
        fn create_global_object(&self, i: &Intrinsics) -> JsObject {
            create_global_object(i)
        }
    }
    #[test]
    fn smoke() {
        let mut c = ContextBuilder::new().host_hooks(Rc::new(H)).build().unwrap();
        install(&mut c).unwrap();
        let src = r#"
        let log = [];
        const t = new EventTarget();
        t.addEventListener('x', e => log.push(e.type, e.target === t, e.eventPhase, e.isTrusted));
        t.addEventListener('x', { handleEvent() { log.push('obj') } }, { once: true });
        log.push(t.dispatchEvent(new Event('x')), t.dispatchEvent(new Event('x')));
        class Foo extends EventTarget { #p = 3; get p() { return this.#p } }
        const f = new Foo(); log.push(f.p, f instanceof EventTarget, Object.prototype.toString.call(f));
        try { Event.prototype.type } catch (e) { log.push(e.message) }
        try { Event('x') } catch (e) { log.push(e.message) }
        try { new Event() } catch (e) { log.push(e.message) }
        const ce = new CloseEvent('close', {code: 70000, reason: 'a\ud800', wasClean: 1});
        log.push(ce.code, ce.reason, ce.wasClean, ce instanceof Event, CloseEvent.__proto__ === Event);
        const d = new DOMException('m', 'DataCloneError');
        log.push(d.code, d instanceof Error, String(d), typeof d.stack, DOMException.ABORT_ERR);
        JSON.stringify(log)
        "#;
        match c.eval(Source::from_bytes(src)) {
            Ok(v) => println!("{}", v.display()),
            Err(e) => panic!("{e}"),
        }
    }
}
