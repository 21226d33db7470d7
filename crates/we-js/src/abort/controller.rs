//! `AbortController`: <https://dom.spec.whatwg.org/#interface-abortcontroller>

use boa_engine::{JsArgs, JsData, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::{AbortSignal, signal};
use crate::binding::{Definition, Interface, PlatformObject, This};

/// The state of an `AbortController`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct AbortController {
    signal: JsObject,
}

impl PlatformObject for AbortController {}

impl Interface for AbortController {
    const NAME: &'static str = "AbortController";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, |new_target, _, context| {
            let signal = AbortSignal::create(context)?.object().clone();
            new_target.create(Self { signal }, context)
        });
        idl.readonly("signal", |this, _| Ok(this.state().signal.clone()));
        // https://dom.spec.whatwg.org/#abortcontroller-signal-abort
        idl.operation("abort", 0, |this, args, context| {
            let signal = this.state().signal.clone();
            if let Some(signal) = This::<AbortSignal>::from_object(signal) {
                signal::signal_abort(&signal, args.get_or_undefined(0), context)?;
            }
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}
