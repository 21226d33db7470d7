//! `Performance`: <https://w3c.github.io/hr-time/#sec-performance>

use boa_engine::{
    Context, JsData, JsResult, JsValue, js_string,
    object::{JsObject, ObjectInitializer},
    property::Attribute,
};
use boa_gc::{Finalize, Trace};

use crate::{
    agent::Agent,
    binding::{self, Definition, Interface},
    dom::{EventTarget, EventTargetObject},
};

/// A `Performance` has no state: its clock is the platform's.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Performance;

impl Interface for Performance {
    const NAME: &'static str = "Performance";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.operation("now", 0, |_, _, context| Ok(Agent::of(context).now()));
        idl.readonly("timeOrigin", |_, context| {
            Ok(Agent::of(context).time_origin())
        });
        // https://w3c.github.io/hr-time/#dom-performance-tojson
        idl.operation("toJSON", 0, |_, _, context| {
            let time_origin = Agent::of(context).time_origin();
            Ok(ObjectInitializer::new(context)
                .property(js_string!("timeOrigin"), time_origin, Attribute::all())
                .build())
        });
        Ok(())
    }
}

/// The realm's only `Performance`, from when a script first asked for it.
#[derive(Trace, Finalize, JsData)]
struct SameObject(JsObject);

/// `[Replaceable] readonly attribute Performance performance`
pub(crate) fn define_attribute<T: Interface>(idl: &mut Definition<'_, T>) {
    idl.replaceable("performance", |_, context| performance(context));
}

fn performance(context: &mut Context) -> JsResult<JsValue> {
    let known = context
        .realm()
        .host_defined()
        .get::<SameObject>()
        .map(|same| same.0.clone());
    if let Some(object) = known {
        return Ok(object.into());
    }
    let root = EventTargetObject::new(Performance);
    let object = binding::create::<Performance>(root, context)?
        .object()
        .clone();
    let realm = context.realm().clone();
    realm.host_defined_mut().insert(SameObject(object.clone()));
    Ok(object.into())
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn now_is_monotonic_and_counts_from_the_time_origin() {
        cases(&[
            (
                "const a = performance.now(), b = performance.now(); [typeof a, 0 < a, a <= b, Number.isInteger(a)].join()",
                "number,true,true,false",
            ),
            (
                "Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000",
                "true",
            ),
            (
                "const e = new Event('x').timeStamp; e <= performance.now() && performance.now() - e < 1000",
                "true",
            ),
            (
                "JSON.stringify(performance) === `{\"timeOrigin\":${performance.timeOrigin}}`",
                "true",
            ),
        ]);
    }

    #[test]
    fn it_is_one_replaceable_event_target() {
        cases(&[
            (
                "[performance === self.performance, performance instanceof EventTarget, String(performance)].join()",
                "true,true,[object Performance]",
            ),
            ("error(() => new Performance())", "TypeError"),
            ("error(() => (0, performance.now)())", "TypeError"),
            ("performance = 1; performance", "1"),
            (
                "const d = Object.getOwnPropertyDescriptor(globalThis, 'performance'); [d.get.name, typeof d.set, d.enumerable].join()",
                "get performance,function,true",
            ),
        ]);
    }
}
