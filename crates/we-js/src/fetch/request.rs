//! `Request`: <https://fetch.spec.whatwg.org/#request-class>

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
    body::{self, Body, HasBody, unusable},
    enums::{CacheMode, Credentials, Mode, Redirect, ReferrerPolicy},
    header_list::{HeaderList, is_forbidden_method, token},
    headers::{self, Guard, Headers},
    referrer::Referrer,
    request_init::RequestInit,
};
use crate::{
    abort::{self, AbortSignal},
    binding::{
        self, Definition, Interface, NewTarget, PlatformObject, This, from_utf8, to_usv_string,
    },
    event_loop::LoopState,
    file::{self, BlobUrlEntry},
};

/// A [request](https://fetch.spec.whatwg.org/#concept-request), without its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) url: Url,
    /// What a `blob:` URL stood for when it was parsed.
    pub(super) blob: Option<BlobUrlEntry>,
    pub(super) headers: Rc<RefCell<HeaderList>>,
    pub(super) mode: Mode,
    pub(super) credentials: Credentials,
    pub(super) cache: CacheMode,
    pub(super) redirect: Redirect,
    pub(super) referrer: Referrer,
    pub(super) referrer_policy: ReferrerPolicy,
    pub(super) integrity: JsString,
    pub(super) keepalive: bool,
    /// <https://fetch.spec.whatwg.org/#use-cors-preflight-flag>
    pub(super) use_preflight: bool,
    /// <https://fetch.spec.whatwg.org/#unsafe-request-flag>
    pub(super) is_unsafe: bool,
}

impl Head {
    /// A request as `new Request(url)` makes it.
    pub(super) fn new(url: Url) -> Self {
        Self {
            method: String::from("GET"),
            blob: file::resolve(&url),
            url,
            headers: Rc::default(),
            // The fallback mode of requests that scripts make.
            mode: Mode::Cors,
            credentials: Credentials::SameOrigin,
            cache: CacheMode::Default,
            redirect: Redirect::Follow,
            referrer: Referrer::Client,
            referrer_policy: ReferrerPolicy::Empty,
            integrity: js_string!(),
            keepalive: false,
            use_preflight: false,
            is_unsafe: true,
        }
    }

    /// A copy whose headers are its own.
    pub(super) fn copy(&self) -> Self {
        Self {
            headers: Rc::new(RefCell::new(self.headers.borrow().clone())),
            ..self.clone()
        }
    }
}

/// The state of a `Request`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Request {
    #[unsafe_ignore_trace]
    head: Head,
    /// Its `Headers`.
    headers: JsObject,
    /// Its `AbortSignal`.
    signal: JsObject,
    body: GcRefCell<Option<Body>>,
}

impl Request {
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn signal(&self) -> JsObject {
        self.signal.clone()
    }

    /// A `Request` as its constructor makes it.
    pub(super) fn from_arguments(args: &[JsValue], context: &mut Context) -> JsResult<This<Self>> {
        let (input, init) = arguments(args, context)?;
        let request = new(input, init, context)?;
        binding::create(request, context)
    }
}

impl HasBody for Request {
    fn body(&self) -> Option<Body> {
        self.body.borrow().clone()
    }

    fn mime_type(&self) -> Option<Mime> {
        self.head.headers.borrow().mime_type()
    }
}

/// `RequestInfo`
enum Input {
    Request(This<Request>),
    Url(String),
}

fn arguments(args: &[JsValue], context: &mut Context) -> JsResult<(Input, RequestInit)> {
    let input = match args.get_or_undefined(0) {
        value if let Some(request) = This::from_value(value) => Input::Request(request),
        value => Input::Url(to_usv_string(&value.to_string(context)?)),
    };
    let init = RequestInit::from_value(args.get_or_undefined(1), context)?;
    Ok((input, init))
}

/// <https://fetch.spec.whatwg.org/#dom-request>
fn construct(
    new_target: &NewTarget<Request>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let (input, init) = arguments(args, context)?;
    let new_object = new_target.prepare(context)?;
    let request = new(input, init, context)?;
    new_object.create(request, context)
}

/// A request that a server has received, with the signal that is aborted when its client goes. Its headers are as they came.
pub(crate) fn server_request(
    method: &str,
    url: &str,
    headers: &[(String, Vec<u8>)],
    body: &[u8],
    context: &mut Context,
) -> JsResult<(JsObject, This<AbortSignal>)> {
    let mut head = Head::new(parse(url, context)?);
    head.method = method.to_owned();
    for (name, value) in headers {
        head.headers.borrow_mut().append(name, value.clone());
    }
    let has_body = !body.is_empty() && !matches!(method, "GET" | "HEAD");
    let body = has_body
        .then(|| Body::of_bytes(AVec::from_slice(0, body), context))
        .transpose()?;
    let signal = AbortSignal::create(context)?;
    let request = Request {
        headers: Headers::of(head.headers.clone(), Guard::Immutable).object(context)?,
        head,
        signal: signal.object().clone(),
        body: GcRefCell::new(body),
    };
    let request = binding::create::<Request>(request, context)?;
    Ok((request.object().clone(), signal))
}

fn type_error<T>(message: impl Into<std::borrow::Cow<'static, str>>) -> JsResult<T> {
    Err(JsNativeError::typ().with_message(message).into())
}

/// The constructor steps.
fn new(input: Input, mut init: RequestInit, context: &mut Context) -> JsResult<Request> {
    // 2. to 6.
    let (mut head, signal, input) = match input {
        Input::Url(url) => (Head::new(parse(&url, context)?), None, None),
        Input::Request(request) => {
            let (head, signal) = {
                let state = request.state();
                (state.head.copy(), state.signal())
            };
            (
                head,
                This::<AbortSignal>::from_object(signal),
                Some(request),
            )
        }
    };
    // 10.
    if init.has_window {
        return type_error("Request: 'window' can only be null");
    }
    // 13.
    if !init.is_empty {
        head.referrer = Referrer::Client;
        head.referrer_policy = ReferrerPolicy::Empty;
    }
    // 14. to 25.
    apply(&mut head, &init, context)?;
    // 26.
    let signal = match init.signal.take() {
        Some(signal) => signal,
        None => signal,
    };
    // 29., 30.
    let signal = abort::dependent(signal.into_iter().collect(), context)?;
    // 31., 32.
    let guard = if head.mode == Mode::NoCors {
        if !is_cors_safelisted_method(&head.method) {
            return type_error(format!("the mode 'no-cors' has no method {}", head.method));
        }
        Guard::RequestNoCors
    } else {
        Guard::Request
    };
    let headers = Headers::of(head.headers.clone(), guard);
    // 33.
    if !init.is_empty {
        let list = head.headers.replace(HeaderList::default());
        match init.headers.take() {
            Some(init) => headers.fill(init)?,
            None => {
                for (name, value) in list.iter() {
                    headers.append(name.as_bytes(), value)?;
                }
            }
        }
    }
    // 34.
    let input_body = input.as_ref().and_then(|input| input.state().body());
    // 35.
    if (init.body.is_some() || input_body.is_some()) && matches!(&*head.method, "GET" | "HEAD") {
        return type_error(format!("a {} request has no body", head.method));
    }
    // 36., 37.
    let is_stream = |body: &Body| body.source.is_none();
    let mut body = None;
    if let Some(init) = init.body.take() {
        let (extracted, kind) = init.extract(context)?;
        if head.keepalive && is_stream(&extracted) {
            return type_error("a request with 'keepalive' has no stream as its body");
        }
        if let Some(kind) = kind
            && !head.headers.borrow().contains("content-type")
        {
            let kind = kind.to_std_string_lossy();
            headers.append(b"Content-Type", kind.as_bytes())?;
        }
        body = Some(extracted);
    }
    // 38., 39.
    if body.as_ref().or(input_body.as_ref()).is_some_and(is_stream) {
        if body.is_some() && !init.has_duplex {
            return type_error("a stream as a body needs 'duplex: \"half\"'");
        }
        if !matches!(head.mode, Mode::SameOrigin | Mode::Cors) {
            return type_error("a stream as a body needs the mode 'same-origin' or 'cors'");
        }
        head.use_preflight = true;
    }
    // 40. to 42.
    if body.is_none()
        && let Some(input_body) = input_body
    {
        if input_body.is_unusable() {
            return Err(unusable());
        }
        body = Some(Body {
            stream: input_body.stream.proxy(context)?,
            source: input_body.source.clone(),
        });
    }
    Ok(Request {
        head,
        headers: headers.object(context)?,
        signal: signal.object().clone(),
        body: GcRefCell::new(body),
    })
}

/// The URL of a request, which has no credentials.
fn parse(text: &str, context: &Context) -> JsResult<Url> {
    let state = LoopState::of(context)?;
    let parsed = Url::options().base_url(state.base_url()).parse(text);
    let url = match parsed {
        Ok(url) => url,
        Err(error) => return type_error(format!("'{text}' is not a valid URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return type_error("the URL of a request must have no user name and password");
    }
    Ok(url)
}

/// The steps 14 to 25, for the members that are a word or a string each.
fn apply(head: &mut Head, init: &RequestInit, context: &Context) -> JsResult<()> {
    if let Some(referrer) = &init.referrer {
        head.referrer = parse_referrer(referrer, context)?;
    }
    if let Some(policy) = init.referrer_policy {
        head.referrer_policy = policy;
    }
    match init.mode {
        Some(Mode::Navigate) => return type_error("a script cannot make a request to navigate"),
        Some(mode) => head.mode = mode,
        None => {}
    }
    if let Some(credentials) = init.credentials {
        head.credentials = credentials;
    }
    if let Some(cache) = init.cache {
        head.cache = cache;
    }
    if head.cache == CacheMode::OnlyIfCached && head.mode != Mode::SameOrigin {
        return type_error("'only-if-cached' needs the mode 'same-origin'");
    }
    if let Some(redirect) = init.redirect {
        head.redirect = redirect;
    }
    if let Some(integrity) = &init.integrity {
        head.integrity = integrity.clone();
    }
    if let Some(keepalive) = init.keepalive {
        head.keepalive = keepalive;
    }
    if let Some(method) = &init.method {
        match token(method) {
            Some(method) if !is_forbidden_method(&method) => head.method = normalize_method(method),
            _ => {
                let method = String::from_utf8_lossy(method);
                return type_error(format!("'{method}' is no method that a script can use"));
            }
        }
    }
    Ok(())
}

/// The step 14: <https://fetch.spec.whatwg.org/#dom-request>
fn parse_referrer(referrer: &str, context: &Context) -> JsResult<Referrer> {
    if referrer.is_empty() {
        return Ok(Referrer::None);
    }
    let state = LoopState::of(context)?;
    let parsed = Url::options().base_url(state.base_url()).parse(referrer);
    let Ok(url) = parsed else {
        return type_error(format!("the referrer '{referrer}' is not a valid URL"));
    };
    let is_client = url.scheme() == "about" && url.path() == "client";
    let own = state.base_url().map(Url::origin);
    if is_client || own.is_none_or(|own| own != url.origin()) {
        return Ok(Referrer::Client);
    }
    Ok(Referrer::Url(url))
}

/// [Normalize a method](https://fetch.spec.whatwg.org/#concept-method-normalize)
fn normalize_method(method: String) -> String {
    const NORMALIZED: [&str; 6] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    NORMALIZED
        .iter()
        .find(|known| known.eq_ignore_ascii_case(&method))
        .map_or(method, |known| (*known).to_owned())
}

/// [CORS-safelisted methods](https://fetch.spec.whatwg.org/#cors-safelisted-method)
pub(super) fn is_cors_safelisted_method(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST")
}

/// <https://fetch.spec.whatwg.org/#dom-request-clone>
fn clone(this: &This<Request>, context: &mut Context) -> JsResult<JsObject> {
    // 1.
    if this.state().is_unusable() {
        return Err(unusable());
    }
    // 2. https://fetch.spec.whatwg.org/#concept-request-clone
    let (head, own_headers, own_signal, body) = {
        let state = this.state();
        (
            state.head.copy(),
            state.headers.clone(),
            state.signal(),
            state.body(),
        )
    };
    let body = match body {
        Some(body) => {
            let [own, clone] = body.tee(context)?;
            *this.state().body.borrow_mut() = Some(own);
            Some(clone)
        }
        None => None,
    };
    // 3. to 6.
    let guard = headers::from_object(&own_headers)
        .map_or(Guard::Request, |headers| headers.state().guard());
    let signals = This::from_object(own_signal).into_iter().collect();
    let signal = abort::dependent(signals, context)?;
    let request = Request {
        headers: Headers::of(head.headers.clone(), guard).object(context)?,
        head,
        signal: signal.object().clone(),
        body: GcRefCell::new(body),
    };
    Ok(binding::create::<Request>(request, context)?
        .object()
        .clone())
}

impl PlatformObject for Request {}

impl Interface for Request {
    const NAME: &'static str = "Request";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        idl.readonly("method", |this, _| Ok(from_utf8(&this.state().head.method)));
        idl.readonly("url", |this, _| {
            Ok(from_utf8(this.state().head.url.as_str()))
        });
        idl.readonly("headers", |this, _| Ok(this.state().headers.clone()));
        // The empty string stands for what scripts fetch.
        idl.readonly("destination", |_, _| Ok(js_string!()));
        idl.readonly("referrer", |this, _| {
            Ok(match &this.state().head.referrer {
                Referrer::None => js_string!(),
                Referrer::Client => js_string!("about:client"),
                Referrer::Url(url) => from_utf8(url.as_str()),
            })
        });
        idl.readonly("referrerPolicy", |this, _| {
            Ok(js_string!(this.state().head.referrer_policy.as_str()))
        });
        idl.readonly("mode", |this, _| {
            Ok(js_string!(this.state().head.mode.as_str()))
        });
        idl.readonly("credentials", |this, _| {
            Ok(js_string!(this.state().head.credentials.as_str()))
        });
        idl.readonly("cache", |this, _| {
            Ok(js_string!(this.state().head.cache.as_str()))
        });
        idl.readonly("redirect", |this, _| {
            Ok(js_string!(this.state().head.redirect.as_str()))
        });
        idl.readonly("integrity", |this, _| {
            Ok(this.state().head.integrity.clone())
        });
        idl.readonly("keepalive", |this, _| Ok(this.state().head.keepalive));
        idl.readonly("isReloadNavigation", |_, _| Ok(false));
        idl.readonly("isHistoryNavigation", |_, _| Ok(false));
        idl.readonly("signal", |this, _| Ok(this.state().signal()));
        idl.readonly("duplex", |_, _| Ok(js_string!("half")));
        idl.operation("clone", 0, |this, _, context| clone(this, context));
        body::define(idl);
        Ok(())
    }
}
