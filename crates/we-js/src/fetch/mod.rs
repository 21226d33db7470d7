//! Fetching: <https://fetch.spec.whatwg.org/>
//!
//! | module | what it holds |
//! |---|---|
//! | [`scripts`] | scripts, as workers, `importScripts()` and modules fetch them |
//! | [`header_list`], [`headers`] | lists of headers, the interface `Headers` |
//! | [`body`] | bodies, and what `Request` and `Response` have in common |
//! | [`request`], [`request_init`], [`enums`] | the interface `Request`, its dictionary, the words in it |
//! | [`response`] | the interface `Response` |
//! | [`call`] | the method `fetch()`: the promise, abortion |
//! | [`fetching`], [`cors`], [`referrer`], [`integrity`] | the algorithm behind it, without JavaScript |
//! | [`line`] | the connection of a call |
//! | [`slots`] | how many connections there are at once |
//! | [`upload`], [`download`] | streams to the network and from it |
//! | [`event_stream`] | the requests of `EventSource` |
//! | [`mime`] | which types are scripts |

mod body;
mod call;
mod cors;
mod download;
mod enums;
mod event_stream;
mod fetching;
mod header_list;
mod headers;
mod integrity;
mod line;
mod mime;
mod referrer;
mod request;
mod request_init;
mod response;
mod scripts;
mod slots;
mod upload;

#[cfg(test)]
mod lifetime_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, rc::Rc};

use boa_engine::{Context, JsResult, object::JsObject};

pub(crate) use self::{
    event_stream::{EventStreamRequest, EventStreamResponse},
    request::server_request,
    response::take as take_response,
    scripts::{Destination, FetchError, Fetched, Fetcher, Target, decode, is_remote},
    slots::Slots,
    upload::{BodySink, pump},
};
use self::{
    header_list::HeaderList,
    headers::{Guard, Headers},
    request::Request,
    response::Response,
};
use crate::binding::{define_promise_function, register};

/// A `Headers` that a script can read and not change.
pub(crate) fn headers_object(
    headers: &[(String, Vec<u8>)],
    context: &mut Context,
) -> JsResult<JsObject> {
    let list = HeaderList::default();
    let list = headers.iter().fold(list, |mut list, (name, value)| {
        list.append(name, value.clone());
        list
    });
    Headers::of(Rc::new(RefCell::new(list)), Guard::Immutable).object(context)
}

/// Defines the interfaces and `fetch()` in the context's current realm.
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    register::<Headers>(context)?;
    register::<Request>(context)?;
    register::<Response>(context)?;
    define_promise_function("fetch", 1, call::fetch, context)
}
