//! Weak references to objects of the engine.

use boa_engine::{Context, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::Primordials;

/// Refers to an object without keeping it alive: the language's own `WeakRef`, the only one that the engine has
/// for objects.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct WeakObject(JsObject);

impl WeakObject {
    pub(crate) fn new(target: &JsObject, context: &mut Context) -> JsResult<Self> {
        let constructor = context.intrinsics().constructors().weak_ref().constructor();
        constructor
            .construct(&[target.clone().into()], None, context)
            .map(Self)
    }

    /// The object, if it has not been collected. It then lives at least until the current job ends.
    pub(crate) fn upgrade(&self, context: &mut Context) -> Option<JsObject> {
        let deref = Primordials::get(context, |it| &it.weak_ref_deref).ok()?;
        deref
            .call(&JsValue::from(self.0.clone()), &[], context)
            .ok()?
            .as_object()
    }
}
