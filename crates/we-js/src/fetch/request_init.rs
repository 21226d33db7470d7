//! The dictionary `RequestInit`: <https://fetch.spec.whatwg.org/#requestinit>

use boa_engine::{Context, JsNativeError, JsResult, JsString, JsValue};

use super::{
    body::BodyInit,
    enums::{CacheMode, Credentials, Duplex, Mode, Priority, Redirect, ReferrerPolicy},
    headers::HeadersInit,
};
use crate::{
    abort::AbortSignal,
    binding::{Dictionary, This, byte_string, to_usv_string},
};

/// `RequestInit`, as far as anything comes of its members.
pub(super) struct RequestInit {
    pub(super) body: Option<BodyInit>,
    pub(super) cache: Option<CacheMode>,
    pub(super) credentials: Option<Credentials>,
    pub(super) has_duplex: bool,
    pub(super) headers: Option<HeadersInit>,
    pub(super) integrity: Option<JsString>,
    pub(super) keepalive: Option<bool>,
    pub(super) method: Option<Vec<u8>>,
    pub(super) mode: Option<Mode>,
    pub(super) redirect: Option<Redirect>,
    pub(super) referrer: Option<String>,
    pub(super) referrer_policy: Option<ReferrerPolicy>,
    /// A signal, or null.
    pub(super) signal: Option<Option<This<AbortSignal>>>,
    /// Whether there is a `window` other than null.
    pub(super) has_window: bool,
    /// Whether no member is there.
    pub(super) is_empty: bool,
}

impl RequestInit {
    /// Reads the members in the order of their names.
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let body = dictionary.get("body", context)?;
        let has_body = body.is_some();
        let body = match body {
            Some(body) => BodyInit::from_value(&body, context)?,
            None => None,
        };
        let cache = CacheMode::member(&dictionary, "cache", context)?;
        let credentials = Credentials::member(&dictionary, "credentials", context)?;
        let has_duplex = Duplex::member(&dictionary, "duplex", context)?.is_some();
        let headers = dictionary.get("headers", context)?;
        let headers = headers
            .map(|value| HeadersInit::from_value(&value, context))
            .transpose()?;
        let integrity = dictionary.string("integrity", context)?;
        let keepalive = dictionary.get("keepalive", context)?;
        let keepalive = keepalive.map(|value| value.to_boolean());
        let method = dictionary.get("method", context)?;
        let method = method
            .map(|value| byte_string(&value, context))
            .transpose()?;
        let mode = Mode::member(&dictionary, "mode", context)?;
        let priority = Priority::member(&dictionary, "priority", context)?;
        let redirect = Redirect::member(&dictionary, "redirect", context)?;
        let referrer = dictionary.string("referrer", context)?;
        let referrer = referrer.map(|value| to_usv_string(&value));
        let referrer_policy = ReferrerPolicy::member(&dictionary, "referrerPolicy", context)?;
        let signal = dictionary.get("signal", context)?;
        let signal = signal.map(|value| signal_or_null(&value)).transpose()?;
        let window = dictionary.get("window", context)?;
        let is_empty = !(has_body
            || cache.is_some()
            || credentials.is_some()
            || has_duplex
            || headers.is_some()
            || integrity.is_some()
            || keepalive.is_some()
            || method.is_some()
            || mode.is_some()
            || priority.is_some()
            || redirect.is_some()
            || referrer.is_some()
            || referrer_policy.is_some()
            || signal.is_some()
            || window.is_some());
        Ok(Self {
            body,
            cache,
            credentials,
            has_duplex,
            headers,
            integrity,
            keepalive,
            method,
            mode,
            redirect,
            referrer,
            referrer_policy,
            signal,
            has_window: window.is_some_and(|window| !window.is_null()),
            is_empty,
        })
    }
}

fn signal_or_null(value: &JsValue) -> JsResult<Option<This<AbortSignal>>> {
    if value.is_null() {
        return Ok(None);
    }
    match This::from_value(value) {
        Some(signal) => Ok(Some(signal)),
        None => Err(JsNativeError::typ()
            .with_message("'signal' is not an AbortSignal")
            .into()),
    }
}
