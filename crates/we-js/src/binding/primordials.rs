//! Built-in functions of the language, as they were before any script ran.
//!
//! The standards look into the internal slots of the language's objects. Where the engine offers no way in
//! but a function of the language, it is this copy that is called: a script may have replaced the original.

use boa_engine::{
    Context, JsData, JsNativeError, JsResult, JsString, JsValue,
    object::JsObject,
    property::{PropertyDescriptor, PropertyKey},
};
use boa_gc::{Finalize, Trace};

/// The functions that the platform needs, of one realm.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Primordials {
    /// `get ArrayBuffer.prototype.resizable`
    pub(crate) array_buffer_resizable: JsObject,
    /// `get SharedArrayBuffer.prototype.growable`
    pub(crate) shared_array_buffer_growable: JsObject,
    /// `Object.getOwnPropertyDescriptor`
    pub(crate) object_get_own_property_descriptor: JsObject,
    /// `WeakRef.prototype.deref`
    pub(crate) weak_ref_deref: JsObject,
}

impl Primordials {
    /// Takes the functions of the current realm. To be called before any script runs in it.
    pub(crate) fn install(context: &mut Context) -> JsResult<()> {
        let constructors = context.intrinsics().constructors();
        let array_buffer = constructors.array_buffer().prototype();
        let shared_array_buffer = constructors.shared_array_buffer().prototype();
        let object = constructors.object().constructor();
        let weak_ref = constructors.weak_ref().prototype();
        let primordials = Self {
            array_buffer_resizable: getter(&array_buffer, "resizable")?,
            shared_array_buffer_growable: getter(&shared_array_buffer, "growable")?,
            object_get_own_property_descriptor: method(&object, "getOwnPropertyDescriptor")?,
            weak_ref_deref: method(&weak_ref, "deref")?,
        };
        let realm = context.realm().clone();
        realm.host_defined_mut().insert(primordials);
        Ok(())
    }

    /// A function of the current realm.
    pub(crate) fn get(
        context: &Context,
        pick: impl FnOnce(&Self) -> &JsObject,
    ) -> JsResult<JsObject> {
        let slot = context.realm().host_defined();
        slot.get::<Self>()
            .map(|primordials| pick(primordials).clone())
            .ok_or_else(|| {
                JsNativeError::typ()
                    .with_message("the platform is not installed in this realm")
                    .into()
            })
    }
}

fn getter(object: &JsObject, name: &str) -> JsResult<JsObject> {
    let getter =
        own_property(object, name).and_then(|property| property.get().and_then(JsValue::as_object));
    getter.ok_or_else(|| missing(name))
}

fn method(object: &JsObject, name: &str) -> JsResult<JsObject> {
    let method = own_property(object, name)
        .and_then(|property| property.value().and_then(JsValue::as_object));
    method.ok_or_else(|| missing(name))
}

fn own_property(object: &JsObject, name: &str) -> Option<PropertyDescriptor> {
    object
        .borrow()
        .properties()
        .get(&PropertyKey::from(JsString::from(name)))
}

fn missing(name: &str) -> boa_engine::JsError {
    JsNativeError::typ()
        .with_message(format!("the engine has no '{name}'"))
        .into()
}
