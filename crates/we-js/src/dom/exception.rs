//! `DOMException`: <https://webidl.spec.whatwg.org/#idl-DOMException>

use std::sync::Arc;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsResult, JsString, JsValue, NativeFunction,
    builtins::error::Error,
    js_string,
    object::{FunctionObjectBuilder, JsObject},
    property::PropertyDescriptor,
};
use boa_gc::{Finalize, Trace};

use crate::{
    binding::{self, Definition, Interface, NewTarget, PlatformObject, Primordials, This},
    structured_clone::{Serializable, Serialized, Text, define_stack, own_string},
    websocket::WebSocketError,
};

/// The state of a `DOMException`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct DomException {
    name: JsString,
    message: JsString,
    /// What the exception is beside that, if it is one of the interface that inherits from this one.
    websocket_error: Option<WebSocketError>,
}

/// The names that this platform throws, of <https://webidl.spec.whatwg.org/#dfn-error-names-table>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorName {
    Abort,
    DataClone,
    InvalidAccess,
    InvalidCharacter,
    InvalidState,
    Network,
    NotReadable,
    Syntax,
    Timeout,
}

impl ErrorName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "AbortError",
            Self::DataClone => "DataCloneError",
            Self::InvalidAccess => "InvalidAccessError",
            Self::InvalidCharacter => "InvalidCharacterError",
            Self::InvalidState => "InvalidStateError",
            Self::Network => "NetworkError",
            Self::NotReadable => "NotReadableError",
            Self::Syntax => "SyntaxError",
            Self::Timeout => "TimeoutError",
        }
    }
}

/// The legacy code constants, in the order of the IDL, each with the error name that has the code today.
/// <https://webidl.spec.whatwg.org/#idl-DOMException> and #dfn-error-names-table
const CODES: [(&str, &str); 25] = [
    ("INDEX_SIZE_ERR", "IndexSizeError"),
    ("DOMSTRING_SIZE_ERR", ""),
    ("HIERARCHY_REQUEST_ERR", "HierarchyRequestError"),
    ("WRONG_DOCUMENT_ERR", "WrongDocumentError"),
    ("INVALID_CHARACTER_ERR", "InvalidCharacterError"),
    ("NO_DATA_ALLOWED_ERR", ""),
    ("NO_MODIFICATION_ALLOWED_ERR", "NoModificationAllowedError"),
    ("NOT_FOUND_ERR", "NotFoundError"),
    ("NOT_SUPPORTED_ERR", "NotSupportedError"),
    ("INUSE_ATTRIBUTE_ERR", "InUseAttributeError"),
    ("INVALID_STATE_ERR", "InvalidStateError"),
    ("SYNTAX_ERR", "SyntaxError"),
    ("INVALID_MODIFICATION_ERR", "InvalidModificationError"),
    ("NAMESPACE_ERR", "NamespaceError"),
    ("INVALID_ACCESS_ERR", "InvalidAccessError"),
    ("VALIDATION_ERR", ""),
    ("TYPE_MISMATCH_ERR", "TypeMismatchError"),
    ("SECURITY_ERR", "SecurityError"),
    ("NETWORK_ERR", "NetworkError"),
    ("ABORT_ERR", "AbortError"),
    ("URL_MISMATCH_ERR", "URLMismatchError"),
    ("QUOTA_EXCEEDED_ERR", "QuotaExceededError"),
    ("TIMEOUT_ERR", "TimeoutError"),
    ("INVALID_NODE_TYPE_ERR", "InvalidNodeTypeError"),
    ("DATA_CLONE_ERR", "DataCloneError"),
];

impl DomException {
    /// A `DOMException` to be thrown.
    pub(crate) fn error(name: ErrorName, message: &str, context: &mut Context) -> JsError {
        match Self::object(name, message, context) {
            Ok(object) => JsError::from_opaque(object.into()),
            Err(error) => error,
        }
    }

    /// [Create](https://webidl.spec.whatwg.org/#dfn-create-exception) a `DOMException`.
    pub(crate) fn object(
        name: ErrorName,
        message: &str,
        context: &mut Context,
    ) -> JsResult<JsObject> {
        let root = Self::new(js_string!(name.as_str()), js_string!(message));
        Ok(binding::create::<Self>(root, context)?.object().clone())
    }

    fn new(name: JsString, message: JsString) -> Self {
        Self {
            name,
            message,
            websocket_error: None,
        }
    }

    /// The state of a `WebSocketError`.
    pub(crate) fn of_websocket(message: JsString, error: WebSocketError) -> Self {
        Self {
            name: js_string!(WebSocketError::NAME),
            message,
            websocket_error: Some(error),
        }
    }

    /// The state of the derived interface `WebSocketError`.
    pub(crate) fn websocket_error(&self) -> Option<&WebSocketError> {
        self.websocket_error.as_ref()
    }

    pub(crate) fn name(&self) -> &JsString {
        &self.name
    }

    pub(crate) fn message(&self) -> &JsString {
        &self.message
    }

    /// The legacy `code`: 0 for names that have none.
    fn code(&self) -> u32 {
        let name = self.name.to_std_string_lossy();
        let position = CODES
            .iter()
            .position(|(_, of)| !of.is_empty() && *of == name);
        position.map_or(0, |position| position as u32 + 1)
    }
}

impl Interface for DomException {
    const NAME: &'static str = "DOMException";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits_prototype(
            idl.context()
                .intrinsics()
                .constructors()
                .error()
                .prototype(),
        );
        idl.constructor(0, construct);
        idl.readonly("name", |this, _| Ok(this.state().name.clone()));
        idl.readonly("message", |this, _| Ok(this.state().message.clone()));
        idl.readonly("code", |this, _| Ok(this.state().code()));
        for (code, (constant, _)) in (1..).zip(CODES) {
            idl.constant(constant, code);
        }
        Ok(())
    }
}

impl PlatformObject for DomException {
    /// The engine's `stack` accessor on `Error.prototype` knows native errors only: the stack of a new error,
    /// taken here, becomes a property of the exception's own.
    fn initialize(object: &JsObject, context: &mut Context) -> JsResult<()> {
        let error = context.intrinsics().constructors().error().constructor();
        let error = error.construct(&[], None, context)?;
        // The accessor as it was made: a script may have replaced it.
        let get_stack = Primordials::get(context, |it| &it.error_stack)?;
        let stack = get_stack.call(&error.into(), &[], context)?;
        if !stack.is_undefined() {
            let descriptor = PropertyDescriptor::builder()
                .value(stack)
                .writable(true)
                .enumerable(false)
                .configurable(true);
            object.insert_property(js_string!("stack"), descriptor);
        }
        Ok(())
    }
}

/// Has `Error.isError` know exceptions, which have an [`[[ErrorData]]`][spec] internal slot. The engine's function asks
/// for its own native data, which a `DOMException` cannot have besides its own.
///
/// [spec]: https://webidl.spec.whatwg.org/#js-DOMException-specialness
pub(crate) fn define_is_error(context: &mut Context) {
    let native = NativeFunction::from_fn_ptr(|_, args, _| {
        let object = args.get_or_undefined(0).as_object();
        let is_error =
            object.is_some_and(|object| object.is::<Error>() || object.is::<DomException>());
        Ok(is_error.into())
    });
    let function = FunctionObjectBuilder::new(context.realm(), native)
        .name(js_string!("isError"))
        .length(1)
        .constructor(false)
        .build();
    let descriptor = PropertyDescriptor::builder()
        .value(function)
        .writable(true)
        .enumerable(false)
        .configurable(true);
    let error = context.intrinsics().constructors().error().constructor();
    error.insert_property(js_string!("isError"), descriptor);
}

/// <https://webidl.spec.whatwg.org/#dom-domexception-domexception>
fn construct(
    new_target: &NewTarget<DomException>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let message = match args.get_or_undefined(0) {
        value if value.is_undefined() => js_string!(),
        value => value.to_string(context)?,
    };
    let name = match args.get_or_undefined(1) {
        value if value.is_undefined() => js_string!("Error"),
        value => value.to_string(context)?,
    };
    new_target.create(DomException::new(name, message), context)
}

/// An exception in structured clone, with the stack that the standard leaves to the implementation.
#[derive(Debug)]
struct SerializedException {
    name: Text,
    message: Text,
    stack: Option<Text>,
    /// The close code and the reason of a `WebSocketError`.
    websocket_error: Option<(Option<u16>, Text)>,
}

impl Serializable for DomException {
    fn serialize(this: &This<Self>, _context: &mut Context) -> JsResult<Arc<dyn Serialized>> {
        let stack = own_string(this.object(), "stack");
        let exception = this.state();
        Ok(Arc::new(SerializedException {
            name: (&exception.name).into(),
            message: (&exception.message).into(),
            stack,
            websocket_error: exception
                .websocket_error()
                .map(|error| (error.close_code(), error.reason().into())),
        }))
    }
}

impl Serialized for SerializedException {
    fn deserialize(&self, context: &mut Context) -> JsResult<JsObject> {
        let message = JsString::from(&self.message);
        let object = match &self.websocket_error {
            None => {
                let exception = DomException::new(JsString::from(&self.name), message);
                binding::create::<DomException>(exception, context)?
                    .object()
                    .clone()
            }
            Some((close_code, reason)) => {
                let error = WebSocketError::new(*close_code, JsString::from(reason));
                error.object(message, context)?
            }
        };
        define_stack(&object, self.stack.as_ref());
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn an_exception_is_an_error() {
        cases(&[(
            "const values = [new DOMException, new TypeError, new (class extends DOMException {}), {}, Object.create(DOMException.prototype), 1, undefined];
             [...values.map(Error.isError), Error.isError(), Error.isError.name, Error.isError.length, error(() => new Error.isError)].join()",
            "true,true,true,false,false,false,false,false,isError,1,TypeError",
        )]);
    }
}
