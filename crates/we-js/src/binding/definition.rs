//! [`Interface`] and the [`Definition`] of its members, and how they become objects of the engine.
//!
//! The property attributes are those of <https://webidl.spec.whatwg.org/#js-interfaces>: attributes are
//! enumerable, configurable accessors on the prototype; operations are writable, enumerable and
//! configurable; constants are enumerable on both the interface object and the prototype; the interface
//! object is a writable, configurable, not enumerable property of the global object.

use boa_engine::{
    Context, JsData, JsNativeError, JsResult, JsString, JsSymbol, JsValue, NativeFunction,
    context::intrinsics::StandardConstructor,
    js_string,
    object::{
        ConstructorBuilder, FunctionObjectBuilder, JsObject, NativeObject,
        builtins::{JsFunction, JsPromise},
    },
    property::{Attribute, PropertyDescriptor, PropertyKey},
};
use boa_gc::{Finalize, Trace};

use super::{Interfaces, NewTarget, This};
use crate::event_loop::call_cleanly;

/// The native data of all objects of an inheritance tree: one Rust type, since the engine compares exact types.
pub(crate) trait PlatformObject: NativeObject {
    /// Runs on every new object of the tree, whichever of its interfaces it implements: for
    /// [`[LegacyUnforgeable]`][unforgeable] members, which live on the object itself.
    ///
    /// [unforgeable]: https://webidl.spec.whatwg.org/#LegacyUnforgeable
    fn initialize(_object: &JsObject, _context: &mut Context) -> JsResult<()> {
        Ok(())
    }
}

/// A web interface, implemented by the type that carries its state.
pub(crate) trait Interface: Sized + 'static {
    /// The interface's identifier.
    const NAME: &'static str;

    /// The native data of every object in the interface's inheritance tree.
    type Root: PlatformObject;

    /// The state of this interface in an object of the tree; `None` if the object does not implement it.
    fn project(root: &Self::Root) -> Option<&Self>;

    /// Declares the members.
    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()>;
}

/// Constructor steps: arguments in, object out.
pub(crate) type Construct<T> = fn(&NewTarget<T>, &[JsValue], &mut Context) -> JsResult<JsObject>;
const OPERATION: Attribute = Attribute::all();

/// The members of the interface `T`, as its IDL lists them.
///
/// Steps are given as functions or as closures that capture nothing that lives on the heap. Getters and
/// methods get a receiver whose brand is checked and may return anything that becomes a [`JsValue`].
pub(crate) struct Definition<'a, T: Interface> {
    context: &'a mut Context,
    /// Interface object and prototype of the parent.
    parent: Option<(JsObject, JsObject)>,
    constructor: Option<(usize, Construct<T>)>,
    prototype: Vec<(PropertyKey, PropertyDescriptor)>,
    statics: Vec<(PropertyKey, PropertyDescriptor)>,
}

impl<T: Interface> Definition<'_, T> {
    /// `interface T : Parent`. The parent must have been registered before.
    pub(crate) fn inherits<Parent: Interface<Root = T::Root>>(&mut self) -> JsResult<()> {
        let parent = Interfaces::get::<Parent>(self.context)?;
        self.parent = Some((parent.constructor(), parent.prototype()));
        Ok(())
    }

    /// A parent that the language supplies, as `%Error%` is to DOMException: only the prototypes are chained.
    pub(crate) fn inherits_prototype(&mut self, parent: JsObject) {
        let function = self
            .context
            .intrinsics()
            .constructors()
            .function()
            .prototype();
        self.parent = Some((function, parent));
    }

    /// `constructor(...)` with `required` arguments that must be given. An interface without it cannot be
    /// constructed from script.
    pub(crate) fn constructor(&mut self, required: usize, construct: Construct<T>) {
        self.constructor = Some((required, construct));
    }

    /// The context that the interface is registered in.
    pub(crate) fn context(&self) -> &Context {
        self.context
    }

    /// `readonly attribute`.
    pub(crate) fn readonly<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<R> + Copy + 'static,
    ) {
        let get = self.getter(name, get);
        self.accessor(name, get, None);
    }

    /// `readonly attribute` of a promise type: whatever the getter throws becomes a rejection.
    /// <https://webidl.spec.whatwg.org/#dfn-attribute-getter> step 1.1
    pub(crate) fn promise_attribute(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<JsPromise> + Copy + 'static,
    ) {
        let native = NativeFunction::from_copy_closure(move |this, _, context| {
            let promise =
                This::<T>::receiver(this, name, context).and_then(|this| get(&this, context));
            match promise {
                Ok(promise) => Ok(promise.into()),
                Err(error) => Ok(JsPromise::reject(error, context)?.into()),
            }
        });
        let get = function(format!("get {name}"), 0, native, self.context);
        self.accessor(name, get, None);
    }

    /// `attribute`.
    pub(crate) fn attribute<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<R> + Copy + 'static,
        set: impl Fn(&This<T>, &JsValue, &mut Context) -> JsResult<()> + Copy + 'static,
    ) {
        let get = self.getter(name, get);
        let set = NativeFunction::from_copy_closure(move |this, args, context| {
            let this = This::<T>::receiver(this, name, context)?;
            require(T::NAME, name, 1, args)?;
            set(
                &this,
                args.first().unwrap_or(&JsValue::undefined()),
                context,
            )?;
            Ok(JsValue::undefined())
        });
        let set = function(format!("set {name}"), 1, set, self.context);
        self.accessor(name, get, Some(set));
    }

    /// `[Replaceable] readonly attribute`: to set it puts a plain property in its place.
    /// <https://webidl.spec.whatwg.org/#Replaceable>
    pub(crate) fn replaceable<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<R> + Copy + 'static,
    ) {
        self.attribute(name, get, move |this, value, context| {
            let replacement = property(value.clone(), Attribute::all());
            this.object()
                .define_property_or_throw(key(name), replacement, context)?;
            Ok(())
        });
    }

    /// An operation with `required` arguments that must be given.
    pub(crate) fn operation<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        required: usize,
        method: impl Fn(&This<T>, &[JsValue], &mut Context) -> JsResult<R> + Copy + 'static,
    ) {
        let native = NativeFunction::from_copy_closure(move |this, args, context| {
            let this = This::<T>::receiver(this, name, context)?;
            require(T::NAME, name, required, args)?;
            method(&this, args, context).map(Into::into)
        });
        self.method(name, required, native);
    }

    /// An operation that returns a promise: whatever it throws becomes a rejection.
    /// <https://webidl.spec.whatwg.org/#dfn-create-operation-function> step 2.1.3
    pub(crate) fn promise_operation(
        &mut self,
        name: &'static str,
        required: usize,
        method: impl Fn(&This<T>, &[JsValue], &mut Context) -> JsResult<JsPromise> + Copy + 'static,
    ) {
        let native = NativeFunction::from_copy_closure(move |this, args, context| {
            let promise = This::<T>::receiver(this, name, context).and_then(|this| {
                require(T::NAME, name, required, args)?;
                if !args.iter().any(JsValue::is_object) {
                    return method(&this, args, context).map(Into::into);
                }
                // An object may have getters, and what one throws must leave nothing on the engine's stack.
                let args = args.to_vec();
                call_cleanly(
                    move |context| method(&this, &args, context).map(Into::into),
                    context,
                )
            });
            match promise {
                Ok(promise) => Ok(promise),
                Err(error) => Ok(JsPromise::reject(error, context)?.into()),
            }
        });
        self.method(name, required, native);
    }

    /// `static` operation.
    pub(crate) fn static_operation<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        required: usize,
        method: impl Fn(&[JsValue], &mut Context) -> JsResult<R> + Copy + 'static,
    ) {
        let native = NativeFunction::from_copy_closure(move |_, args, context| {
            require(T::NAME, name, required, args)?;
            method(args, context).map(Into::into)
        });
        let function = function(name, required, native, self.context);
        self.statics
            .push((key(name), property(function, OPERATION)));
    }

    /// `const`, on the interface object and on the prototype.
    pub(crate) fn constant(&mut self, name: &'static str, value: i32) {
        let descriptor = property(value, Attribute::ENUMERABLE);
        self.prototype.push((key(name), descriptor.clone()));
        self.statics.push((key(name), descriptor));
    }

    /// `[LegacyUnforgeable] readonly attribute`: the accessor is handed back, for
    /// [`PlatformObject::initialize`] to put on each object.
    pub(crate) fn unforgeable<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<R> + Copy + 'static,
    ) -> JsFunction {
        self.getter(name, get)
    }

    /// Keeps a value for the realm's lifetime, to be found again in its host-defined slot.
    pub(crate) fn keep(&mut self, value: impl NativeObject) {
        let realm = self.context.realm().clone();
        realm.host_defined_mut().insert(value);
    }

    /// A member that the declarative forms do not cover, such as `[Symbol.iterator]`.
    pub(crate) fn property(
        &mut self,
        key: impl Into<PropertyKey>,
        value: impl Into<JsValue>,
        attributes: Attribute,
    ) {
        self.prototype
            .push((key.into(), property(value, attributes)));
    }

    /// A method function to be used with [`Definition::property`], under two names for example.
    pub(crate) fn method_function<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        required: usize,
        method: impl Fn(&This<T>, &[JsValue], &mut Context) -> JsResult<R> + Copy + 'static,
    ) -> JsFunction {
        let native = NativeFunction::from_copy_closure(move |this, args, context| {
            let this = This::<T>::receiver(this, name, context)?;
            require(T::NAME, name, required, args)?;
            method(&this, args, context).map(Into::into)
        });
        function(name, required, native, self.context)
    }

    fn getter<R: Into<JsValue> + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&This<T>, &mut Context) -> JsResult<R> + Copy + 'static,
    ) -> JsFunction {
        let native = NativeFunction::from_copy_closure(move |this, _, context| {
            let this = This::<T>::receiver(this, name, context)?;
            get(&this, context).map(Into::into)
        });
        function(format!("get {name}"), 0, native, self.context)
    }

    fn accessor(&mut self, name: &'static str, get: JsFunction, set: Option<JsFunction>) {
        let descriptor = PropertyDescriptor::builder()
            .get(get)
            .maybe_set(set)
            .enumerable(true)
            .configurable(true)
            .build();
        self.prototype.push((key(name), descriptor));
    }

    fn method(&mut self, name: &'static str, required: usize, native: NativeFunction) {
        let function = function(name, required, native, self.context);
        self.prototype
            .push((key(name), property(function, OPERATION)));
    }
}

/// Makes the interface object and the prototype of `T` in the current realm and puts the interface object
/// on its global object.
pub(crate) fn register<T: Interface>(context: &mut Context) -> JsResult<()> {
    build(Definition::<T>::collect(context)?).map(drop)
}

/// The same for a `[Global]` interface, whose members WebIDL wants on the global object itself.
pub(crate) fn register_global<T: Interface>(context: &mut Context) -> JsResult<()> {
    let mut idl = Definition::<T>::collect(context)?;
    let members = std::mem::take(&mut idl.prototype);
    let prototype = build(idl)?.prototype();
    define_on_global(Some(prototype), members, context)
}

impl<'a, T: Interface> Definition<'a, T> {
    /// Has the interface declare its members.
    fn collect(context: &'a mut Context) -> JsResult<Self> {
        let mut idl = Self {
            context,
            parent: None,
            constructor: None,
            prototype: Vec::new(),
            statics: Vec::new(),
        };
        T::define(&mut idl)?;
        Ok(idl)
    }
}

/// Makes the interface object and the prototype.
fn build<T: Interface>(idl: Definition<'_, T>) -> JsResult<StandardConstructor> {
    let Definition {
        context,
        parent,
        constructor,
        prototype,
        statics,
    } = idl;

    let (required, construct) = constructor.unwrap_or((0, |_, _, _| {
        Err(JsNativeError::typ()
            .with_message(format!(
                "Illegal constructor: {} cannot be made with 'new'",
                T::NAME
            ))
            .into())
    }));
    let native = NativeFunction::from_copy_closure(move |new_target, args, context| {
        let new_target = NewTarget::<T>::from_value(new_target)?;
        if constructor.is_some() {
            require(T::NAME, "constructor", required, args)?;
        }
        construct(&new_target, args, context).map(Into::into)
    });

    let mut builder = ConstructorBuilder::new(context, native);
    builder.name(T::NAME).length(required);
    if let Some((constructor, prototype)) = parent {
        builder.inherit(prototype).custom_prototype(constructor);
    }
    for (key, descriptor) in prototype {
        builder.property_descriptor(key, descriptor);
    }
    for (key, descriptor) in statics {
        builder.static_property_descriptor(key, descriptor);
    }
    builder.property(
        JsSymbol::to_string_tag(),
        JsString::from(T::NAME),
        Attribute::CONFIGURABLE,
    );
    let interface = builder.build();

    context.register_global_property(
        JsString::from(T::NAME),
        interface.constructor(),
        Attribute::WRITABLE | Attribute::CONFIGURABLE,
    )?;
    Interfaces::insert::<T>(context, interface.clone());
    Ok(interface)
}

/// [`register_global`] for an interface without an interface object: the global object of a main agent is neither a
/// `Window` nor a worker's.
pub(crate) fn define_global<T: Interface>(context: &mut Context) -> JsResult<()> {
    let Definition {
        context,
        parent,
        prototype,
        ..
    } = Definition::<T>::collect(context)?;
    define_on_global(parent.map(|(_, parent)| parent), prototype, context)
}

fn define_on_global(
    prototype: Option<JsObject>,
    members: Vec<(PropertyKey, PropertyDescriptor)>,
    context: &mut Context,
) -> JsResult<()> {
    let global = context.global_object();
    if let Some(prototype) = prototype {
        global.set_prototype(Some(prototype));
    }
    for (key, descriptor) in members {
        global.define_property_or_throw(key, descriptor, context)?;
    }
    Ok(())
}

/// The object on which the operations of the mixin `WindowOrWorkerGlobalScope` are.
#[derive(Trace, Finalize, JsData)]
struct MixinTarget(JsObject);

/// Has [`define_function`] define on the prototype of `T` from now on, which includes the mixin
/// `WindowOrWorkerGlobalScope`; otherwise it is the global object itself that has it.
pub(crate) fn mix_into<T: Interface>(context: &mut Context) -> JsResult<()> {
    let prototype = Interfaces::get::<T>(context)?.prototype();
    let realm = context.realm().clone();
    realm.host_defined_mut().insert(MixinTarget(prototype));
    Ok(())
}

/// The object that has the operations of the mixin `WindowOrWorkerGlobalScope`.
pub(crate) fn mixin_target(context: &Context) -> JsObject {
    let realm = context.realm();
    let slot = realm.host_defined();
    slot.get::<MixinTarget>()
        .map_or_else(|| context.global_object(), |target| target.0.clone())
}

/// Defines an operation of the mixin `WindowOrWorkerGlobalScope`.
pub(crate) fn define_function<R: Into<JsValue> + 'static>(
    name: &'static str,
    required: usize,
    steps: impl Fn(&[JsValue], &mut Context) -> JsResult<R> + Copy + 'static,
    context: &mut Context,
) -> JsResult<()> {
    let native = NativeFunction::from_copy_closure(move |this, args, context| {
        require_global(this, context)?;
        require("the global object", name, required, args)?;
        steps(args, context).map(Into::into)
    });
    let function = function(name, required, native, context);
    let target = mixin_target(context);
    target.define_property_or_throw(key(name), property(function, OPERATION), context)?;
    Ok(())
}

/// The same for one that returns a promise: whatever it throws becomes a rejection.
pub(crate) fn define_promise_function(
    name: &'static str,
    required: usize,
    steps: impl Fn(&[JsValue], &mut Context) -> JsResult<JsPromise> + Copy + 'static,
    context: &mut Context,
) -> JsResult<()> {
    let native = NativeFunction::from_copy_closure(move |this, args, context| {
        let promise = require_global(this, context)
            .and_then(|()| require("the global object", name, required, args))
            .and_then(|()| steps(args, context));
        match promise {
            Ok(promise) => Ok(promise.into()),
            Err(error) => Ok(JsPromise::reject(error, context)?.into()),
        }
    });
    let function = function(name, required, native, context);
    let target = mixin_target(context);
    target.define_property_or_throw(key(name), property(function, OPERATION), context)?;
    Ok(())
}

/// An operation of the global object may be called without a `this` value, but not on another object.
/// <https://webidl.spec.whatwg.org/#dfn-create-operation-function>
pub(crate) fn require_global(this: &JsValue, context: &Context) -> JsResult<()> {
    match this.as_object() {
        None if this.is_null_or_undefined() => Ok(()),
        Some(object) if object == context.global_object() => Ok(()),
        _ => Err(JsNativeError::typ()
            .with_message("Illegal invocation")
            .into()),
    }
}

/// A function that has no receiver: an operation of the namespace `namespace`.
pub(crate) fn namespace_operation<R: Into<JsValue> + 'static>(
    namespace: &'static str,
    name: &'static str,
    required: usize,
    steps: impl Fn(&[JsValue], &mut Context) -> JsResult<R> + Copy + 'static,
    context: &Context,
) -> JsFunction {
    let native = NativeFunction::from_copy_closure(move |_, args, context| {
        require(namespace, name, required, args)?;
        steps(args, context).map(Into::into)
    });
    function(name, required, native, context)
}

/// "If the number of arguments is less than the number of required arguments, throw a TypeError."
/// <https://webidl.spec.whatwg.org/#dfn-overload-resolution-algorithm>
fn require(interface: &str, member: &str, required: usize, args: &[JsValue]) -> JsResult<()> {
    if args.len() >= required {
        return Ok(());
    }
    let message = format!(
        "{interface}.{member}: {required} argument(s) required, but only {} given",
        args.len()
    );
    Err(JsNativeError::typ().with_message(message).into())
}

pub(super) fn function(
    name: impl AsRef<str>,
    length: usize,
    native: NativeFunction,
    context: &Context,
) -> JsFunction {
    FunctionObjectBuilder::new(context.realm(), native)
        .name(js_string!(name.as_ref()))
        .length(length)
        .constructor(false)
        .build()
}

pub(crate) fn property(value: impl Into<JsValue>, attributes: Attribute) -> PropertyDescriptor {
    PropertyDescriptor::builder()
        .value(value)
        .writable(attributes.writable())
        .enumerable(attributes.enumerable())
        .configurable(attributes.configurable())
        .build()
}

fn key(name: &'static str) -> PropertyKey {
    PropertyKey::from(JsString::from(name))
}
