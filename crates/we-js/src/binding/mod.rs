//! The WebIDL layer: how a Rust type becomes a web interface of the Boa engine.
//!
//! An interface file of this crate reads like its IDL. The type that carries an interface's state
//! implements [`Interface`]: its name, its parent and, in [`Interface::define`], its members. This
//! layer supplies all that the [WebIDL standard] says of every interface alike: the interface object
//! and the prototype with their chains and property attributes, `new` required, the number of required
//! arguments, the substitution of the global object for a missing `this`, brand checks and the errors
//! that they throw.
//!
//! ```text
//! interface CloseEvent : Event {             impl Interface for CloseEvent {
//!   constructor(DOMString type,                  const NAME: &'static str = "CloseEvent";
//!     optional CloseEventInit init = {});        type Root = EventObject;
//!   readonly attribute boolean wasClean;         fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
//! };                                                 idl.inherits::<Event>()?;
//!                                                    idl.constructor(1, construct);
//!                                                    idl.readonly("wasClean", |this, _| Ok(this.state().was_clean));
//! ```
//!
//! Two facts of the engine shape it. A native object has exactly one Rust type, so a hierarchy of
//! interfaces shares one: the [`Interface::Root`]; [`Interface::project`] finds the part that belongs to
//! one interface in it, and is the brand check at the same time. And an object that is borrowed cannot be
//! written to by a script: no borrow ([`This::state`]) may be held while JavaScript runs, so state that
//! changes lives in cells inside the state.
//!
//! [WebIDL standard]: https://webidl.spec.whatwg.org/#js-interfaces

mod buffer_source;
mod convert;
mod definition;
mod iterable;
mod primordials;
mod promise;
mod realm;
mod strings;
mod this;
mod weak;

pub(crate) use buffer_source::{BufferSource, ViewKind, not_a_buffer_source};
pub(crate) use convert::*;
pub(crate) use definition::{
    Definition, Interface, PlatformObject, define_function, define_global, define_promise_function,
    mix_into, mixin_target, namespace_operation, property, register, register_global,
    require_global,
};
pub(crate) use iterable::PairIterable;
pub(crate) use primordials::Primordials;
pub(crate) use promise::{Next, Outcome, Promise, thrown, type_error};
pub(crate) use realm::{Interfaces, prototype_of};
pub(crate) use strings::{TooLong, decode_utf8, encode_utf8, from_utf8, to_usv_string};
pub(crate) use this::{NewTarget, This, create};
pub(crate) use weak::WeakObject;
