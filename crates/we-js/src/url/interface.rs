//! `URL`: <https://url.spec.whatwg.org/#url-class>

use std::cell::RefCell;

use ::url::{Position, Url as Record, quirks};
use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, object::JsObject,
};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::UrlSearchParams;
use crate::{
    binding::{
        self, Definition, Interface, NewTarget, PlatformObject, This, from_utf8, usv_string,
    },
    file,
};

/// The state of a `URL`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Url {
    /// The [URL](https://url.spec.whatwg.org/#concept-url-url)
    #[unsafe_ignore_trace]
    record: RefCell<Record>,
    /// The [query object](https://url.spec.whatwg.org/#concept-url-query-object), from when a script first asked
    /// for it: until then the list of the URL's query is its list.
    query_object: GcRefCell<Option<JsObject>>,
}

impl Url {
    fn new(record: Record) -> Self {
        Self {
            record: RefCell::new(record),
            query_object: GcRefCell::new(None),
        }
    }

    /// Sets the query to what its query object has become; `None` stands for an empty list.
    /// <https://url.spec.whatwg.org/#concept-urlsearchparams-update>
    pub(super) fn set_query(&self, query: Option<&str>) {
        self.record.borrow_mut().set_query(query);
    }

    /// A component of the URL as a string of the engine.
    fn component(&self, of: impl FnOnce(&Record) -> &str) -> JsString {
        from_utf8(of(&self.record.borrow()))
    }

    /// Empties the query object's list and fills it with the URL's query.
    fn refresh_query_object(&self) {
        let query_object = self.query_object.borrow().clone();
        if let Some(params) = query_object.and_then(This::<UrlSearchParams>::from_object) {
            params
                .state()
                .replace(self.record.borrow().query().unwrap_or_default());
        }
    }
}

/// [API URL parser](https://url.spec.whatwg.org/#api-url-parser): `None` is failure.
fn parse(url: &str, base: Option<&str>) -> Option<Record> {
    let base = match base {
        Some(base) => Some(Record::parse(base).ok()?),
        None => None,
    };
    let record = Record::options().base_url(base.as_ref()).parse(url).ok()?;
    Some(with_trailing_space(record))
}

/// A space at the end of an opaque path that a query or a fragment follows is percent-encoded, so that the path stays
/// the same without them: <https://url.spec.whatwg.org/#cannot-be-a-base-url-path-state>. The crate leaves it as it is.
fn with_trailing_space(record: Record) -> Record {
    let path = &record[Position::BeforePath..Position::AfterPath];
    let Some(path) = path.strip_suffix(' ').filter(|_| record.cannot_be_a_base()) else {
        return record;
    };
    let before = &record[..Position::BeforePath];
    let after = &record[Position::AfterPath..];
    match Record::parse(&format!("{before}{path}%20{after}")) {
        Ok(encoded) => encoded,
        Err(_) => record,
    }
}

/// `(USVString url, optional USVString base)`
fn parse_arguments(args: &[JsValue], context: &mut Context) -> JsResult<(String, Option<Record>)> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let base = match args.get_or_undefined(1) {
        value if value.is_undefined() => None,
        value => Some(usv_string(value, context)?),
    };
    let record = parse(&url, base.as_deref());
    Ok((url, record))
}

fn invalid_url(url: &str) -> JsNativeError {
    JsNativeError::typ().with_message(format!("'{url}' is not a valid URL"))
}

/// <https://url.spec.whatwg.org/#dom-url-url>
fn construct(
    new_target: &NewTarget<Url>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let (url, record) = parse_arguments(args, context)?;
    let record = record.ok_or_else(|| invalid_url(&url))?;
    new_target.create(Url::new(record), context)
}

impl PlatformObject for Url {}

impl Interface for Url {
    const NAME: &'static str = "URL";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        // https://url.spec.whatwg.org/#dom-url-parse
        idl.static_operation("parse", 1, |args, context| {
            match parse_arguments(args, context)? {
                (_, Some(record)) => Ok(JsValue::from(
                    binding::create::<Self>(Self::new(record), context)?
                        .object()
                        .clone(),
                )),
                (_, None) => Ok(JsValue::null()),
            }
        });
        // https://url.spec.whatwg.org/#dom-url-canparse
        idl.static_operation("canParse", 1, |args, context| {
            Ok(parse_arguments(args, context)?.1.is_some())
        });

        // https://w3c.github.io/FileAPI/#creating-revoking
        idl.static_operation("createObjectURL", 1, file::create_object_url);
        idl.static_operation("revokeObjectURL", 1, file::revoke_object_url);

        idl.attribute("href", |this, _| Ok(href(this)), set_href);
        idl.operation("toString", 0, |this, _, _| Ok(href(this)));
        idl.operation("toJSON", 0, |this, _, _| Ok(href(this)));
        idl.readonly("origin", |this, _| {
            Ok(from_utf8(&origin(&this.state().record.borrow())))
        });

        component(idl, "protocol", quirks::protocol, |url, value| {
            // A setter that is not allowed or does not parse leaves the URL as it was.
            let _ = quirks::set_protocol(url, value);
        });
        component(idl, "username", quirks::username, |url, value| {
            let _ = quirks::set_username(url, value);
        });
        component(idl, "password", quirks::password, |url, value| {
            let _ = quirks::set_password(url, value);
        });
        component(idl, "host", quirks::host, |url, value| {
            set_host(url, value);
        });
        component(idl, "hostname", quirks::hostname, |url, value| {
            let _ = quirks::set_hostname(url, value);
        });
        component(idl, "port", quirks::port, |url, value| {
            let _ = quirks::set_port(url, value);
        });
        component(idl, "pathname", quirks::pathname, quirks::set_pathname);
        idl.attribute(
            "search",
            |this, _| Ok(this.state().component(quirks::search)),
            set_search,
        );
        idl.readonly("searchParams", search_params);
        component(idl, "hash", quirks::hash, quirks::set_hash);
        Ok(())
    }
}

/// An attribute that is a component of the URL, and that nothing else depends on.
fn component(
    idl: &mut Definition<'_, Url>,
    name: &'static str,
    get: fn(&Record) -> &str,
    set: fn(&mut Record, &str),
) {
    idl.attribute(
        name,
        move |this, _| Ok(this.state().component(get)),
        move |this, value, context| {
            let value = usv_string(value, context)?;
            set(&mut this.state().record.borrow_mut(), &value);
            Ok(())
        },
    );
}

fn href(this: &This<Url>) -> JsString {
    this.state().component(Record::as_str)
}

/// <https://url.spec.whatwg.org/#dom-url-href>
fn set_href(this: &This<Url>, value: &JsValue, context: &mut Context) -> JsResult<()> {
    let value = usv_string(value, context)?;
    // 1., 2.
    let record = parse(&value, None).ok_or_else(|| invalid_url(&value))?;
    // 3. to 6.
    let state = this.state();
    state.record.replace(record);
    state.refresh_query_object();
    Ok(())
}

/// <https://url.spec.whatwg.org/#dom-url-search>
fn set_search(this: &This<Url>, value: &JsValue, context: &mut Context) -> JsResult<()> {
    let value = usv_string(value, context)?;
    let state = this.state();
    quirks::set_search(&mut state.record.borrow_mut(), &value);
    state.refresh_query_object();
    Ok(())
}

/// <https://url.spec.whatwg.org/#dom-url-searchparams>
fn search_params(this: &This<Url>, context: &mut Context) -> JsResult<JsObject> {
    if let Some(object) = this.state().query_object.borrow().clone() {
        return Ok(object);
    }
    let query = this
        .state()
        .record
        .borrow()
        .query()
        .unwrap_or_default()
        .to_owned();
    let params = UrlSearchParams::of_url(&query, this.object().clone());
    let object = binding::create::<UrlSearchParams>(params, context)?
        .object()
        .clone();
    *this.state().query_object.borrow_mut() = Some(object.clone());
    Ok(object)
}

/// <https://url.spec.whatwg.org/#dom-url-host>
///
/// The crate's function overlooks a part of the [host state]'s step 3.2: a URL with a password and no username
/// cannot lose its host.
///
/// [host state]: https://url.spec.whatwg.org/#host-state
fn set_host(url: &mut Record, value: &str) {
    let mut changed = url.clone();
    if quirks::set_host(&mut changed, value).is_ok()
        && (changed.password().is_none() || changed.has_host())
    {
        *url = changed;
    }
}

/// The serialization of the [origin](https://url.spec.whatwg.org/#concept-url-origin).
///
/// The crate's own function takes any URL as the path of a `blob:` URL, and `blob:blob:…` as deep as it goes.
fn origin(url: &Record) -> String {
    if url.scheme() != "blob" {
        return url.origin().ascii_serialization();
    }
    match Record::parse(url.path()) {
        Ok(path) if matches!(path.scheme(), "http" | "https") => {
            path.origin().ascii_serialization()
        }
        _ => String::from("null"),
    }
}
