//! `AbortSignal` and `AbortController`: <https://dom.spec.whatwg.org/#aborting-ongoing-activities>

use std::cell::Cell;

use boa_engine::JsResult;
use boa_engine::object::JsObject;
use boa_gc::{Finalize, Gc, Trace};

use crate::{
    binding::{Definition, Interface},
    dom::{EventTarget, EventTargetObject, TargetKind, event_target::Listener},
};

#[derive(Trace, Finalize)]
pub(crate) struct AbortSignal {
    #[unsafe_ignore_trace]
    aborted: Cell<bool>,
}

impl AbortSignal {
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.get()
    }
    pub(crate) fn remove_listener_on_abort(&self, _target: JsObject, _listener: Gc<Listener>) {}
}

impl Interface for AbortSignal {
    const NAME: &'static str = "AbortSignal";
    type Root = EventTargetObject;
    fn project(root: &EventTargetObject) -> Option<&Self> {
        if let TargetKind::AbortSignal(signal) = &root.kind {
            Some(signal)
        } else {
            None
        }
    }
    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()
    }
}
