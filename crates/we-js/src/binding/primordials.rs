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
    /// `get ArrayBuffer.prototype.maxByteLength`
    pub(crate) array_buffer_max_byte_length: JsObject,
    /// `get Error.prototype.stack`
    pub(crate) error_stack: JsObject,
    /// `get RegExp.prototype.source`
    reg_exp_source: JsObject,
    /// The getters of the flags, in the order of [`REG_EXP_FLAGS`].
    reg_exp_flags: Vec<JsObject>,
    /// `get SharedArrayBuffer.prototype.growable`
    pub(crate) shared_array_buffer_growable: JsObject,
    /// `JSON.parse`
    pub(crate) json_parse: JsObject,
    /// `JSON.stringify`
    pub(crate) json_stringify: JsObject,
    /// `Object.getOwnPropertyDescriptor`
    pub(crate) object_get_own_property_descriptor: JsObject,
    /// `WeakRef.prototype.deref`
    pub(crate) weak_ref_deref: JsObject,
}

/// The flags of regular expressions: <https://tc39.es/ecma262/#sec-get-regexp.prototype.flags>
const REG_EXP_FLAGS: [(&str, char); 8] = [
    ("hasIndices", 'd'),
    ("global", 'g'),
    ("ignoreCase", 'i'),
    ("multiline", 'm'),
    ("dotAll", 's'),
    ("unicode", 'u'),
    ("unicodeSets", 'v'),
    ("sticky", 'y'),
];

impl Primordials {
    /// Takes the functions of the current realm. To be called before any script runs in it.
    pub(crate) fn install(context: &mut Context) -> JsResult<()> {
        let constructors = context.intrinsics().constructors();
        let array_buffer = constructors.array_buffer().prototype();
        let shared_array_buffer = constructors.shared_array_buffer().prototype();
        let reg_exp = constructors.regexp().prototype();
        let object = constructors.object().constructor();
        let weak_ref = constructors.weak_ref().prototype();
        let json = context.intrinsics().objects().json();
        let primordials = Self {
            array_buffer_resizable: getter(&array_buffer, "resizable")?,
            array_buffer_max_byte_length: getter(&array_buffer, "maxByteLength")?,
            error_stack: getter(&constructors.error().prototype(), "stack")?,
            reg_exp_source: getter(&reg_exp, "source")?,
            reg_exp_flags: REG_EXP_FLAGS
                .iter()
                .map(|(name, _)| getter(&reg_exp, name))
                .collect::<JsResult<_>>()?,
            shared_array_buffer_growable: getter(&shared_array_buffer, "growable")?,
            json_parse: method(&json, "parse")?,
            json_stringify: method(&json, "stringify")?,
            object_get_own_property_descriptor: method(&object, "getOwnPropertyDescriptor")?,
            weak_ref_deref: method(&weak_ref, "deref")?,
        };
        let realm = context.realm().clone();
        realm.host_defined_mut().insert(primordials);
        Ok(())
    }

    /// A function of the current realm.
    pub(crate) fn get<R: Clone>(context: &Context, pick: impl FnOnce(&Self) -> &R) -> JsResult<R> {
        let slot = context.realm().host_defined();
        slot.get::<Self>()
            .map(|primordials| pick(primordials).clone())
            .ok_or_else(|| {
                JsNativeError::typ()
                    .with_message("the platform is not installed in this realm")
                    .into()
            })
    }

    /// The `[[OriginalSource]]` of a regular expression, or a pattern that means the same.
    pub(crate) fn reg_exp_source(reg_exp: &JsObject, context: &mut Context) -> JsResult<JsString> {
        let getter = Self::get(context, |it| &it.reg_exp_source)?;
        let source = getter
            .call(&JsValue::from(reg_exp.clone()), &[], context)?
            .to_string(context)?;
        // The engine puts a backslash before every slash, also before one that has a backslash, which
        // changes the meaning. No slash needs one.
        let units = source.to_vec();
        let is = |index: usize, character: u8| units.get(index) == Some(&u16::from(character));
        let original: Vec<u16> = units
            .iter()
            .enumerate()
            .filter(|(index, _)| !(is(*index, b'\\') && is(index + 1, b'/')))
            .map(|(_, unit)| *unit)
            .collect();
        Ok(JsString::from(original.as_slice()))
    }

    /// The `[[OriginalFlags]]` of a regular expression. The language's own `flags` asks the script.
    pub(crate) fn reg_exp_flags(reg_exp: &JsObject, context: &mut Context) -> JsResult<String> {
        let getters = Self::get(context, |it| &it.reg_exp_flags)?;
        let this = JsValue::from(reg_exp.clone());
        let mut flags = String::new();
        for (getter, (_, flag)) in getters.iter().zip(REG_EXP_FLAGS) {
            if getter.call(&this, &[], context)?.to_boolean() {
                flags.push(flag);
            }
        }
        Ok(flags)
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
