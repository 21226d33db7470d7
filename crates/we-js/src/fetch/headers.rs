//! `Headers`: <https://fetch.spec.whatwg.org/#headers-class>

use std::{cell::RefCell, rc::Rc};

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsValue,
    object::{JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, Trace};

use super::header_list::{
    HeaderList, is_forbidden_request_header, is_forbidden_response_header, is_no_cors_safelisted,
    is_no_cors_safelisted_name, is_value, normalize, token,
};
use crate::binding::{
    self, Definition, Interface, NewTarget, PairIterable, PlatformObject, This, byte_string,
    byte_string_record, from_bytes, sequence,
};

/// What may be changed: <https://fetch.spec.whatwg.org/#concept-headers-guard>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    Immutable,
    Request,
    RequestNoCors,
    Response,
}

/// The state of a `Headers`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Headers {
    /// Shared with the request or response that the headers are of.
    #[unsafe_ignore_trace]
    list: Rc<RefCell<HeaderList>>,
    #[unsafe_ignore_trace]
    guard: Guard,
}

/// `(sequence<sequence<ByteString>> or record<ByteString, ByteString>)`, in the form of the former
pub(super) struct HeadersInit(Vec<Vec<Vec<u8>>>);

impl HeadersInit {
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let Some(object) = value.as_object() else {
            return Err(JsNativeError::typ()
                .with_message("headers are neither a sequence of pairs nor an object")
                .into());
        };
        let pairs = sequence(value, context, |pair, context| {
            sequence(&pair, context, |value, context| {
                byte_string(&value, context)
            })?
            .ok_or_else(|| {
                JsNativeError::typ()
                    .with_message("a header is not a sequence of two strings")
                    .into()
            })
        })?;
        match pairs {
            Some(pairs) => Ok(Self(pairs)),
            None => {
                let record = byte_string_record(&object, context)?;
                let pairs = record.into_iter().map(|(name, value)| vec![name, value]);
                Ok(Self(pairs.collect()))
            }
        }
    }
}

impl Headers {
    /// Headers of a new list.
    pub(super) fn new(guard: Guard) -> Self {
        Self::of(Rc::default(), guard)
    }

    /// The headers of a list that others have, too.
    pub(super) fn of(list: Rc<RefCell<HeaderList>>, guard: Guard) -> Self {
        Self { list, guard }
    }

    /// The object for a script.
    pub(super) fn object(self, context: &mut Context) -> JsResult<JsObject> {
        Ok(binding::create::<Self>(self, context)?.object().clone())
    }

    pub(super) fn guard(&self) -> Guard {
        self.guard
    }

    /// [Fill](https://fetch.spec.whatwg.org/#concept-headers-fill)
    pub(super) fn fill(&self, init: HeadersInit) -> JsResult<()> {
        for pair in init.0 {
            let [name, value] = <[Vec<u8>; 2]>::try_from(pair).map_err(|_| {
                JsNativeError::typ().with_message("a header is not a pair of name and value")
            })?;
            self.append(&name, &value)?;
        }
        Ok(())
    }

    /// [Validate](https://fetch.spec.whatwg.org/#headers-validate): the name, or `None` for a header that is silently
    /// left out.
    fn validate(&self, name: &[u8], value: &[u8]) -> JsResult<Option<String>> {
        // 1.
        let name = valid_name(name)?;
        if !is_value(value) {
            return Err(JsNativeError::typ()
                .with_message(format!("the value of the header '{name}' is not valid"))
                .into());
        }
        // 2. to 5.
        Ok(match self.guard {
            Guard::Immutable => {
                return Err(JsNativeError::typ()
                    .with_message("these headers cannot be changed")
                    .into());
            }
            Guard::Request if is_forbidden_request_header(&name, value) => None,
            Guard::Response if is_forbidden_response_header(&name) => None,
            _ => Some(name),
        })
    }

    /// [Append](https://fetch.spec.whatwg.org/#concept-headers-append)
    pub(super) fn append(&self, name: &[u8], value: &[u8]) -> JsResult<()> {
        // 1.
        let value = normalize(value);
        // 2.
        let Some(name) = self.validate(name, value)? else {
            return Ok(());
        };
        let mut list = self.list.borrow_mut();
        // 3.
        if self.guard == Guard::RequestNoCors {
            let combined = match list.get(&name) {
                Some(before) => [&before, &b", "[..], value].concat(),
                None => value.to_vec(),
            };
            if !is_no_cors_safelisted(&name, &combined) {
                return Ok(());
            }
        }
        // 4.
        list.append(&name, value);
        // 5.
        self.remove_privileged(&mut list);
        Ok(())
    }

    /// <https://fetch.spec.whatwg.org/#dom-headers-delete>
    fn delete(&self, name: &[u8]) -> JsResult<()> {
        // 1.
        let Some(name) = self.validate(name, b"")? else {
            return Ok(());
        };
        // 2.
        if self.guard == Guard::RequestNoCors
            && !is_no_cors_safelisted_name(&name)
            && !name.eq_ignore_ascii_case("range")
        {
            return Ok(());
        }
        // 3. to 5.
        let mut list = self.list.borrow_mut();
        list.delete(&name);
        self.remove_privileged(&mut list);
        Ok(())
    }

    /// <https://fetch.spec.whatwg.org/#dom-headers-set>
    fn set(&self, name: &[u8], value: &[u8]) -> JsResult<()> {
        // 1.
        let value = normalize(value);
        // 2.
        let Some(name) = self.validate(name, value)? else {
            return Ok(());
        };
        // 3.
        if self.guard == Guard::RequestNoCors && !is_no_cors_safelisted(&name, value) {
            return Ok(());
        }
        // 4., 5.
        let mut list = self.list.borrow_mut();
        list.set(&name, value.to_vec());
        self.remove_privileged(&mut list);
        Ok(())
    }

    /// [Remove privileged no-CORS request-headers](https://fetch.spec.whatwg.org/#concept-headers-remove-privileged-no-cors-request-headers)
    fn remove_privileged(&self, list: &mut HeaderList) {
        if self.guard == Guard::RequestNoCors {
            list.delete("range");
        }
    }
}

fn valid_name(name: &[u8]) -> JsResult<String> {
    token(name).ok_or_else(|| {
        JsNativeError::typ()
            .with_message("the name of a header is not valid")
            .into()
    })
}

fn name_argument(args: &[JsValue], context: &mut Context) -> JsResult<Vec<u8>> {
    byte_string(args.get_or_undefined(0), context)
}

fn name_and_value(args: &[JsValue], context: &mut Context) -> JsResult<(Vec<u8>, Vec<u8>)> {
    let name = name_argument(args, context)?;
    let value = byte_string(args.get_or_undefined(1), context)?;
    Ok((name, value))
}

impl PlatformObject for Headers {}

impl Interface for Headers {
    const NAME: &'static str = "Headers";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.operation("append", 2, |this, args, context| {
            let (name, value) = name_and_value(args, context)?;
            this.state().append(&name, &value)?;
            Ok(JsValue::undefined())
        });
        idl.operation("delete", 1, |this, args, context| {
            let name = name_argument(args, context)?;
            this.state().delete(&name)?;
            Ok(JsValue::undefined())
        });
        idl.operation("get", 1, |this, args, context| {
            let name = valid_name(&name_argument(args, context)?)?;
            let value = this.state().list.borrow().get(&name);
            Ok(value.map_or(JsValue::null(), |value| from_bytes(&value).into()))
        });
        idl.operation("getSetCookie", 0, |this, _, context| {
            let values: Vec<JsValue> = {
                let state = this.state();
                let list = state.list.borrow();
                list.set_cookies()
                    .map(|value| from_bytes(value).into())
                    .collect()
            };
            Ok(JsArray::from_iter(values, context))
        });
        idl.operation("has", 1, |this, args, context| {
            let name = valid_name(&name_argument(args, context)?)?;
            Ok(this.state().list.borrow().contains(&name))
        });
        idl.operation("set", 2, |this, args, context| {
            let (name, value) = name_and_value(args, context)?;
            this.state().set(&name, &value)?;
            Ok(JsValue::undefined())
        });
        idl.iterable();
        Ok(())
    }
}

/// <https://fetch.spec.whatwg.org/#dom-headers>
fn construct(
    new_target: &NewTarget<Headers>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let init = match args.get_or_undefined(0) {
        value if value.is_undefined() => None,
        value => Some(HeadersInit::from_value(value, context)?),
    };
    let new_object = new_target.prepare(context)?;
    let headers = Headers::new(Guard::None);
    if let Some(init) = init {
        headers.fill(init)?;
    }
    new_object.create(headers, context)
}

impl PairIterable for Headers {
    const ITERATOR_NAME: &'static str = "Headers Iterator";

    fn pair(&self, index: usize) -> Option<(JsValue, JsValue)> {
        let headers = self.list.borrow().sort_and_combine();
        let (name, value) = headers.get(index)?;
        Some((from_bytes(name.as_bytes()).into(), from_bytes(value).into()))
    }
}

/// The `Headers` that a value is.
pub(super) fn from_object(object: &JsObject) -> Option<This<Headers>> {
    This::from_object(object.clone())
}
