//! `ProgressEvent`: <https://xhr.spec.whatwg.org/#interface-progressevent>

use boa_engine::{Context, JsNativeError, JsResult, JsString};
use boa_gc::{Finalize, Trace};

use super::{
    Event, EventDetail, EventInit, EventObject, EventTarget, dispatch, event::construct_with,
};
use crate::binding::{Definition, Dictionary, Interface, This};

/// What a `ProgressEvent` tells of.
#[derive(Trace, Finalize)]
pub(crate) struct ProgressEvent {
    length_computable: bool,
    loaded: f64,
    total: f64,
}

impl ProgressEvent {
    /// [Fires a progress event](https://xhr.spec.whatwg.org/#concept-event-fire-progress).
    pub(crate) fn fire(
        target: &This<EventTarget>,
        kind: JsString,
        loaded: u64,
        total: u64,
        context: &mut Context,
    ) -> JsResult<()> {
        let detail = EventDetail::Progress(Self {
            length_computable: true,
            loaded: loaded as f64,
            total: total as f64,
        });
        dispatch::fire_with::<Self>(target, kind, EventInit::default(), detail, context)?;
        Ok(())
    }
}

impl Interface for ProgressEvent {
    const NAME: &'static str = "ProgressEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Progress(progress) = &root.detail {
            Some(progress)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let length_computable = init.boolean("lengthComputable", false, context)?;
                let loaded = double(init, "loaded", context)?;
                let total = double(init, "total", context)?;
                Ok(EventDetail::Progress(Self {
                    length_computable,
                    loaded,
                    total,
                }))
            })
        });
        idl.readonly("lengthComputable", |this, _| {
            Ok(this.state().length_computable)
        });
        idl.readonly("loaded", |this, _| Ok(this.state().loaded));
        idl.readonly("total", |this, _| Ok(this.state().total));
        Ok(())
    }
}

/// A `double` member whose default is 0: <https://webidl.spec.whatwg.org/#js-double>
fn double(init: &Dictionary, name: &'static str, context: &mut Context) -> JsResult<f64> {
    let Some(value) = init.get(name, context)? else {
        return Ok(0.0);
    };
    let number = value.to_number(context)?;
    if number.is_finite() {
        return Ok(number);
    }
    Err(JsNativeError::typ()
        .with_message(format!("{name} is not a finite number"))
        .into())
}
