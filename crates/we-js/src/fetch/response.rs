//! `Response`: <https://fetch.spec.whatwg.org/#response-class>

use std::{cell::RefCell, rc::Rc};

use aligned_vec::AVec;
use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, js_string,
    object::JsObject,
};
use boa_gc::{Finalize, GcRefCell, Trace};
use data_url::mime::Mime;
use url::Url;

use super::{
    body::{self, Body, BodyInit, HasBody, unusable},
    header_list::HeaderList,
    headers::{Guard, Headers, HeadersInit},
};
use crate::{
    binding::{
        self, Definition, Dictionary, IntegerConversion, Interface, NewTarget, PlatformObject,
        Primordials, This, byte_string, encode_utf8, from_bytes, from_utf8, unsigned_integer,
        usv_string,
    },
    event_loop::LoopState,
    streams::Reader,
};

/// The [type](https://fetch.spec.whatwg.org/#concept-response-type) of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseType {
    Basic,
    Cors,
    Default,
    Error,
    Opaque,
    OpaqueRedirect,
}

impl ResponseType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Cors => "cors",
            Self::Default => "default",
            Self::Error => "error",
            Self::Opaque => "opaque",
            Self::OpaqueRedirect => "opaqueredirect",
        }
    }
}

/// A [response](https://fetch.spec.whatwg.org/#concept-response) as scripts see it, filtered, without its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) kind: ResponseType,
    /// The last URL of the list, if there is one, and whether it is the only one.
    pub(super) url: Option<Url>,
    pub(super) redirected: bool,
    pub(super) status: u16,
    pub(super) status_text: Vec<u8>,
    pub(super) headers: Rc<RefCell<HeaderList>>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            kind: ResponseType::Default,
            url: None,
            redirected: false,
            status: 200,
            status_text: Vec::new(),
            headers: Rc::default(),
        }
    }
}

impl Head {
    /// A [network error](https://fetch.spec.whatwg.org/#concept-network-error)
    fn error() -> Self {
        Self {
            kind: ResponseType::Error,
            status: 0,
            ..Self::default()
        }
    }
}

/// The state of a `Response`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Response {
    #[unsafe_ignore_trace]
    head: Head,
    /// Its `Headers`.
    headers: JsObject,
    body: GcRefCell<Option<Body>>,
}

impl Response {
    fn new(head: Head, guard: Guard, body: Option<Body>, context: &mut Context) -> JsResult<Self> {
        let headers = Headers::of(head.headers.clone(), guard).object(context)?;
        Ok(Self {
            head,
            headers,
            body: GcRefCell::new(body),
        })
    }

    /// [Creates](https://fetch.spec.whatwg.org/#response-create) a `Response` object.
    pub(super) fn create(
        head: Head,
        guard: Guard,
        body: Option<Body>,
        context: &mut Context,
    ) -> JsResult<This<Self>> {
        let response = Self::new(head, guard, body, context)?;
        binding::create(response, context)
    }
}

impl HasBody for Response {
    fn body(&self) -> Option<Body> {
        self.body.borrow().clone()
    }

    fn mime_type(&self) -> Option<Mime> {
        self.head.headers.borrow().mime_type()
    }
}

/// Status and headers.
type StatusAndHeaders = (u16, Vec<(String, Vec<u8>)>);

/// What a server sends for a value, if it is a `Response`: its head, and a reader of its body, which is the server's from now on.
///
/// # Errors
/// If the body has been read from.
pub(crate) fn take(
    value: &JsValue,
    context: &mut Context,
) -> JsResult<Option<(StatusAndHeaders, Option<Reader>)>> {
    let Some(response) = This::<Response>::from_value(value) else {
        return Ok(None);
    };
    let (head, body) = {
        let state = response.state();
        if state.is_unusable() {
            return Err(unusable());
        }
        let headers = state.head.headers.borrow();
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec()));
        ((state.head.status, headers.collect()), state.body())
    };
    let reader = body
        .map(|body| Reader::acquire(&body.stream, context))
        .transpose()?;
    Ok(Some((head, reader)))
}

/// The dictionary `ResponseInit`.
struct ResponseInit {
    headers: Option<HeadersInit>,
    status: u16,
    status_text: Vec<u8>,
}

impl ResponseInit {
    fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let headers = dictionary.get("headers", context)?;
        let headers = headers
            .map(|value| HeadersInit::from_value(&value, context))
            .transpose()?;
        let status = match dictionary.get("status", context)? {
            Some(status) => unsigned_short(&status, context)?,
            None => 200,
        };
        let status_text = match dictionary.get("statusText", context)? {
            Some(text) => byte_string(&text, context)?,
            None => Vec::new(),
        };
        Ok(Self {
            headers,
            status,
            status_text,
        })
    }

    /// [Initialize a response](https://fetch.spec.whatwg.org/#initialize-a-response) with it.
    fn initialize(
        self,
        body: Option<(Body, Option<JsString>)>,
        context: &mut Context,
    ) -> JsResult<Response> {
        // 1.
        if !(200..=599).contains(&self.status) {
            return Err(JsNativeError::range()
                .with_message(format!("{} is no status between 200 and 599", self.status))
                .into());
        }
        // 2.
        let is_reason = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !self.status_text.iter().all(is_reason) {
            return Err(JsNativeError::typ()
                .with_message("statusText has a control character")
                .into());
        }
        // 3., 4.
        let head = Head {
            status: self.status,
            status_text: self.status_text,
            ..Head::default()
        };
        // 5.
        if let Some(init) = self.headers {
            Headers::of(head.headers.clone(), Guard::Response).fill(init)?;
        }
        // 6.
        let body = match body {
            Some(_) if is_null_body_status(self.status) => {
                return Err(JsNativeError::typ()
                    .with_message(format!(
                        "a response with status {} has no body",
                        self.status
                    ))
                    .into());
            }
            Some((body, kind)) => {
                if let Some(kind) = kind
                    && !head.headers.borrow().contains("content-type")
                {
                    let kind = kind.to_std_string_lossy();
                    head.headers.borrow_mut().append("Content-Type", kind);
                }
                Some(body)
            }
            None => None,
        };
        Response::new(head, Guard::Response, body, context)
    }
}

fn unsigned_short(value: &JsValue, context: &mut Context) -> JsResult<u16> {
    let number = unsigned_integer(value, 16, IntegerConversion::Wrap, context)?;
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}

/// [Null body status](https://fetch.spec.whatwg.org/#null-body-status)
pub(super) fn is_null_body_status(status: u16) -> bool {
    matches!(status, 101 | 103 | 204 | 205 | 304)
}

/// [Redirect status](https://fetch.spec.whatwg.org/#redirect-status)
pub(super) fn is_redirect_status(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

impl PlatformObject for Response {}

impl Interface for Response {
    const NAME: &'static str = "Response";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        // https://fetch.spec.whatwg.org/#dom-response-error
        idl.static_operation("error", 0, |_, context| {
            let response = Self::create(Head::error(), Guard::Immutable, None, context)?;
            Ok(response.object().clone())
        });
        idl.static_operation("redirect", 1, redirect);
        idl.static_operation("json", 1, json);

        idl.readonly("type", |this, _| {
            Ok(js_string!(this.state().head.kind.as_str()))
        });
        idl.readonly("url", |this, _| {
            let mut url = this.state().head.url.clone();
            if let Some(url) = &mut url {
                url.set_fragment(None);
            }
            Ok(from_utf8(url.as_ref().map_or("", Url::as_str)))
        });
        idl.readonly("redirected", |this, _| Ok(this.state().head.redirected));
        idl.readonly("status", |this, _| Ok(this.state().head.status));
        idl.readonly("ok", |this, _| {
            Ok((200..=299).contains(&this.state().head.status))
        });
        idl.readonly("statusText", |this, _| {
            Ok(from_bytes(&this.state().head.status_text))
        });
        idl.readonly("headers", |this, _| Ok(this.state().headers.clone()));
        idl.operation("clone", 0, |this, _, context| clone(this, context));
        body::define(idl);
        Ok(())
    }
}

/// <https://fetch.spec.whatwg.org/#dom-response>
fn construct(
    new_target: &NewTarget<Response>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let body = BodyInit::from_value(args.get_or_undefined(0), context)?;
    let init = ResponseInit::from_value(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    let body = body.map(|body| body.extract(context)).transpose()?;
    let response = init.initialize(body, context)?;
    new_object.create(response, context)
}

/// <https://fetch.spec.whatwg.org/#dom-response-redirect>
fn redirect(args: &[JsValue], context: &mut Context) -> JsResult<JsObject> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let status = match args.get_or_undefined(1) {
        value if value.is_undefined() => 302,
        value => unsigned_short(value, context)?,
    };
    // 1., 2.
    let state = LoopState::of(context)?;
    let parsed = Url::options().base_url(state.base_url()).parse(&url);
    let url = parsed.map_err(|error| {
        JsNativeError::typ().with_message(format!("Response.redirect: '{url}': {error}"))
    })?;
    // 3.
    if !is_redirect_status(status) {
        return Err(JsNativeError::range()
            .with_message(format!("{status} is not the status of a redirect"))
            .into());
    }
    // 4. to 8.
    let head = Head {
        status,
        ..Head::default()
    };
    head.headers.borrow_mut().append("Location", url.as_str());
    let response = Response::create(head, Guard::Immutable, None, context)?;
    Ok(response.object().clone())
}

/// <https://fetch.spec.whatwg.org/#dom-response-json>
fn json(args: &[JsValue], context: &mut Context) -> JsResult<JsObject> {
    let init = ResponseInit::from_value(args.get_or_undefined(1), context)?;
    // 1. https://infra.spec.whatwg.org/#serialize-a-javascript-value-to-json-bytes
    let stringify = Primordials::get(context, |it| &it.json_stringify)?;
    let data = args.get_or_undefined(0).clone();
    let text = stringify.call(&JsValue::undefined(), &[data], context)?;
    let text = text.as_string().ok_or_else(|| {
        JsNativeError::typ().with_message("Response.json: the value has no form in JSON")
    })?;
    let mut bytes = AVec::new(0);
    encode_utf8(&text, &mut bytes)
        .map_err(|_| JsNativeError::range().with_message("the body is too large"))?;
    // 2. to 4.
    let body = Body::of_bytes(bytes, context)?;
    let body = Some((body, Some(js_string!("application/json"))));
    let response = init.initialize(body, context)?;
    Ok(binding::create::<Response>(response, context)?
        .object()
        .clone())
}

/// <https://fetch.spec.whatwg.org/#dom-response-clone>
fn clone(this: &This<Response>, context: &mut Context) -> JsResult<JsObject> {
    // 1.
    if this.state().is_unusable() {
        return Err(unusable());
    }
    // 2. https://fetch.spec.whatwg.org/#concept-response-clone
    let (mut head, guard, body) = {
        let state = this.state();
        let guard = super::headers::from_object(&state.headers)
            .map_or(Guard::Immutable, |headers| headers.state().guard());
        (state.head.clone(), guard, state.body())
    };
    let list = head.headers.borrow().clone();
    head.headers = Rc::new(RefCell::new(list));
    let body = match body {
        Some(body) => {
            let [own, clone] = body.tee(context)?;
            *this.state().body.borrow_mut() = Some(own);
            Some(clone)
        }
        None => None,
    };
    // 3.
    let response = Response::create(head, guard, body, context)?;
    Ok(response.object().clone())
}
