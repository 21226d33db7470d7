//! `WorkerLocation`: <https://html.spec.whatwg.org/multipage/workers.html#worker-locations>

use boa_engine::{JsData, JsResult, JsString, property::Attribute};
use boa_gc::{Finalize, Trace};
use url::{Url, quirks};

use crate::binding::{Definition, Interface, PlatformObject, from_utf8};

/// A part of a URL, as the URL standard's attributes show it.
type Part = fn(&Url) -> &str;

/// The URL of a worker's script, in parts.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct WorkerLocation {
    #[unsafe_ignore_trace]
    url: Url,
}

impl WorkerLocation {
    pub(super) fn new(url: Url) -> Self {
        Self { url }
    }
}

impl PlatformObject for WorkerLocation {}

impl Interface for WorkerLocation {
    const NAME: &'static str = "WorkerLocation";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        let parts: [(&'static str, Part); 8] = [
            ("href", quirks::href),
            ("protocol", quirks::protocol),
            ("host", quirks::host),
            ("hostname", quirks::hostname),
            ("port", quirks::port),
            ("pathname", quirks::pathname),
            ("search", quirks::search),
            ("hash", quirks::hash),
        ];
        for (name, part) in parts {
            idl.readonly(name, move |this, _| Ok(from_utf8(part(&this.state().url))));
        }
        idl.readonly("origin", |this, _| {
            Ok(JsString::from(quirks::origin(&this.state().url)))
        });
        // `stringifier`
        let to_string = idl.method_function("toString", 0, |this, _, _| {
            Ok(from_utf8(this.state().url.as_str()))
        });
        idl.property(
            boa_engine::js_string!("toString"),
            to_string,
            Attribute::all(),
        );
        Ok(())
    }
}
