//! `URLSearchParams`: <https://url.spec.whatwg.org/#interface-urlsearchparams>

use std::cell::RefCell;

use ::url::form_urlencoded;
use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue,
    object::{JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, Trace};

use super::Url;
use crate::binding::{
    Definition, Interface, NewTarget, PairIterable, PlatformObject, This, from_utf8, sequence,
    usv_string, usv_string_record,
};

/// The state of a `URLSearchParams`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct UrlSearchParams {
    /// The [list](https://url.spec.whatwg.org/#concept-urlsearchparams-list) of names and values.
    #[unsafe_ignore_trace]
    list: RefCell<Vec<(String, String)>>,
    /// The [URL object](https://url.spec.whatwg.org/#concept-urlsearchparams-url-object) whose query this is.
    url: Option<JsObject>,
}

impl UrlSearchParams {
    fn new(list: Vec<(String, String)>) -> Self {
        Self {
            list: RefCell::new(list),
            url: None,
        }
    }

    /// The query object of a URL with this query.
    pub(super) fn of_url(query: &str, url: JsObject) -> Self {
        Self {
            list: RefCell::new(parse(query)),
            url: Some(url),
        }
    }

    /// Empties the list and fills it with a query.
    pub(super) fn replace(&self, query: &str) {
        self.list.replace(parse(query));
    }

    /// The [serialization](https://url.spec.whatwg.org/#concept-urlencoded-serializer) of the list.
    pub(crate) fn serialize(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.list.borrow().iter())
            .finish()
    }
}

/// The [`application/x-www-form-urlencoded` parser](https://url.spec.whatwg.org/#concept-urlencoded-parser)
fn parse(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// [Update](https://url.spec.whatwg.org/#concept-urlsearchparams-update) the URL after a change of the list.
fn update(this: &This<UrlSearchParams>) {
    let url = this.state().url.clone();
    // 1.
    let Some(url) = url.and_then(This::<Url>::from_object) else {
        return;
    };
    // 2. to 4.
    let query = this.state().serialize();
    url.state()
        .set_query(if query.is_empty() { None } else { Some(&query) });
}

/// Runs steps that change the list, and updates the URL.
fn change(this: &This<UrlSearchParams>, steps: impl FnOnce(&mut Vec<(String, String)>)) -> JsValue {
    steps(&mut this.state().list.borrow_mut());
    update(this);
    JsValue::undefined()
}

/// <https://url.spec.whatwg.org/#dom-urlsearchparams-urlsearchparams>
fn construct(
    new_target: &NewTarget<UrlSearchParams>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let init = args.get_or_undefined(0);
    let list = if init.is_undefined() {
        Vec::new()
    } else if let Some(object) = init.as_object() {
        match sequence(init, context, pair)? {
            Some(pairs) => pairs,
            None => usv_string_record(&object, context)?,
        }
    } else {
        let init = usv_string(init, context)?;
        parse(init.strip_prefix('?').unwrap_or(&init))
    };
    new_target.create(UrlSearchParams::new(list), context)
}

/// A `sequence<USVString>` of two.
fn pair(value: JsValue, context: &mut Context) -> JsResult<(String, String)> {
    let strings = sequence(&value, context, |value, context| {
        usv_string(&value, context)
    })?;
    match strings.map(<[String; 2]>::try_from) {
        Some(Ok([name, value])) => Ok((name, value)),
        _ => Err(JsNativeError::typ()
            .with_message("URLSearchParams: a pair is not a sequence of two strings")
            .into()),
    }
}

fn name_and_value(args: &[JsValue], context: &mut Context) -> JsResult<(String, String)> {
    let name = usv_string(args.get_or_undefined(0), context)?;
    let value = usv_string(args.get_or_undefined(1), context)?;
    Ok((name, value))
}

/// `(USVString name, optional USVString value)`
fn name_and_optional_value(
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<(String, Option<String>)> {
    let name = usv_string(args.get_or_undefined(0), context)?;
    let value = match args.get_or_undefined(1) {
        value if value.is_undefined() => None,
        value => Some(usv_string(value, context)?),
    };
    Ok((name, value))
}

impl PlatformObject for UrlSearchParams {}

impl Interface for UrlSearchParams {
    const NAME: &'static str = "URLSearchParams";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly(
            "size",
            |this, _| Ok(this.state().list.borrow().len() as f64),
        );
        idl.operation("append", 2, |this, args, context| {
            let pair = name_and_value(args, context)?;
            Ok(change(this, |list| list.push(pair)))
        });
        idl.operation("delete", 1, |this, args, context| {
            let (name, value) = name_and_optional_value(args, context)?;
            Ok(change(this, |list| {
                list.retain(|pair| !matches(pair, &name, value.as_deref()))
            }))
        });
        idl.operation("get", 1, |this, args, context| {
            let name = usv_string(args.get_or_undefined(0), context)?;
            let state = this.state();
            let list = state.list.borrow();
            let found = list.iter().find(|pair| matches(pair, &name, None));
            Ok(found.map_or(JsValue::null(), |(_, value)| from_utf8(value).into()))
        });
        idl.operation("getAll", 1, |this, args, context| {
            let name = usv_string(args.get_or_undefined(0), context)?;
            let values: Vec<JsValue> = {
                let state = this.state();
                let list = state.list.borrow();
                let found = list.iter().filter(|pair| matches(pair, &name, None));
                found.map(|(_, value)| from_utf8(value).into()).collect()
            };
            Ok(JsArray::from_iter(values, context))
        });
        idl.operation("has", 1, |this, args, context| {
            let (name, value) = name_and_optional_value(args, context)?;
            let found = this
                .state()
                .list
                .borrow()
                .iter()
                .any(|pair| matches(pair, &name, value.as_deref()));
            Ok(found)
        });
        idl.operation("set", 2, |this, args, context| {
            let (name, value) = name_and_value(args, context)?;
            Ok(change(this, |list| set(list, name, value)))
        });
        // Stable, and by code units, of which the order is not that of code points.
        // https://url.spec.whatwg.org/#dom-urlsearchparams-sort
        idl.operation("sort", 0, |this, _, _| {
            Ok(change(this, |list| {
                list.sort_by(|(one, _), (two, _)| one.encode_utf16().cmp(two.encode_utf16()))
            }))
        });
        idl.iterable();
        idl.operation("toString", 0, |this, _, _| {
            Ok(from_utf8(&this.state().serialize()))
        });
        Ok(())
    }
}

fn matches(pair: &(String, String), name: &str, value: Option<&str>) -> bool {
    pair.0 == name && value.is_none_or(|value| pair.1 == value)
}

/// Gives the first pair of that name the value and removes the others, or appends one.
/// <https://url.spec.whatwg.org/#dom-urlsearchparams-set>
fn set(list: &mut Vec<(String, String)>, name: String, value: String) {
    let Some(first) = list.iter().position(|pair| pair.0 == name) else {
        list.push((name, value));
        return;
    };
    let mut index = 0;
    list.retain(|pair| {
        let keep = index <= first || pair.0 != name;
        index += 1;
        keep
    });
    if let Some(pair) = list.get_mut(first) {
        pair.1 = value;
    }
}

impl PairIterable for UrlSearchParams {
    const ITERATOR_NAME: &'static str = "URLSearchParams Iterator";

    fn pair(&self, index: usize) -> Option<(JsValue, JsValue)> {
        let list = self.list.borrow();
        let (name, value) = list.get(index)?;
        let string = |text: &str| -> JsString { from_utf8(text) };
        Some((string(name).into(), string(value).into()))
    }
}
