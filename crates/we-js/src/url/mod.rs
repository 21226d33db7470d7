//! The URL standard's interfaces: <https://url.spec.whatwg.org/#api>
//!
//! URLs are parsed, changed and serialized by the `url` crate. A [`Url`] object and its [`UrlSearchParams`]
//! refer to each other: a change of one is a change of the other.

mod interface;
mod search_params;

#[cfg(test)]
mod tests;

pub(crate) use interface::Url;
pub(crate) use search_params::UrlSearchParams;
