//! Blob URLs: <https://w3c.github.io/FileAPI/#url>
//!
//! The store is the process's, so that an agent finds the URLs that another one, on another thread, has made. What
//! an agent put in goes when its event loop does.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ::url::{Origin, Position, Url};
use boa_engine::{Context, JsArgs, JsNativeError, JsResult, JsString, JsValue};

use super::{Blob, SharedBlob};
use crate::{
    binding::{This, from_utf8, usv_string},
    event_loop::{JobId, LoopState},
};

/// The [blob URL store](https://w3c.github.io/FileAPI/#BlobURLStore): entries by their URL, without a fragment.
static STORE: Mutex<BTreeMap<String, Stored>> = Mutex::new(BTreeMap::new());

/// A [blob URL entry](https://w3c.github.io/FileAPI/#blob-url-entry): a blob, and of its environment the origin.
#[derive(Clone, Debug)]
pub(crate) struct BlobUrlEntry {
    pub(crate) blob: SharedBlob,
    /// The origin of the scripts that made the URL, who may also revoke it. `None` is that of a program without one.
    pub(crate) origin: Option<Origin>,
}

/// An entry, and whose it is.
struct Stored {
    entry: BlobUrlEntry,
    owner: u64,
}

/// [Resolve a blob URL](https://w3c.github.io/FileAPI/#blob-url-resolve): what the URL stands for now, in whichever
/// agent it was made. A fragment does not matter.
pub(crate) fn resolve(url: &Url) -> Option<BlobUrlEntry> {
    let store = lock();
    store.get(key(url)?).map(|stored| stored.entry.clone())
}

/// The URL as the store knows it; `None` if it is no `blob:` URL.
fn key(url: &Url) -> Option<&str> {
    (url.scheme() == "blob").then(|| &url[..Position::AfterQuery])
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Stored>> {
    // The map is whole between any two statements: a panic elsewhere does no harm to it.
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entries of one agent, which go with it.
pub(crate) struct BlobUrls {
    owner: u64,
    /// What the agent has revoked while imports waited for their turn.
    revoked: RefCell<Vec<Revoked>>,
}

/// An entry that has gone, but not for the jobs that were queued before that.
struct Revoked {
    url: String,
    entry: BlobUrlEntry,
    before: JobId,
}

impl BlobUrls {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            owner: NEXT.fetch_add(1, Ordering::Relaxed),
            revoked: RefCell::default(),
        }
    }

    /// [Adds an entry](https://w3c.github.io/FileAPI/#add-an-entry) and returns its URL.
    fn add(&self, entry: BlobUrlEntry) -> String {
        // <https://w3c.github.io/FileAPI/#unicodeBlobURL>
        let origin = serialize(entry.origin.as_ref());
        let url = format!("blob:{origin}/{}", uuid(rand::random()));
        let stored = Stored {
            entry,
            owner: self.owner,
        };
        lock().insert(url.clone(), stored);
        url
    }

    /// What the URL stands for in a job of the event loop: what it stood for when the job was queued, in so far as this
    /// agent has revoked it since. A script that imports a URL and revokes it at once gets its module.
    pub(crate) fn resolve_for(&self, job: JobId, url: &Url) -> Option<BlobUrlEntry> {
        resolve(url).or_else(|| {
            let key = key(url)?;
            let revoked = self.revoked.borrow();
            let known = revoked
                .iter()
                .find(|revoked| revoked.url == key && job < revoked.before)?;
            Some(known.entry.clone())
        })
    }

    /// No job waits for its turn any more.
    pub(crate) fn forget_revoked(&self) {
        self.revoked.take();
    }

    /// Removes the agent's entries: <https://w3c.github.io/FileAPI/#lifeTime>
    pub(crate) fn remove_all(&self) {
        lock().retain(|_, stored| stored.owner != self.owner);
    }
}

impl Drop for BlobUrls {
    fn drop(&mut self) {
        self.remove_all();
    }
}

/// The [serialization of an origin](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
fn serialize(origin: Option<&Origin>) -> String {
    origin.map_or_else(|| "null".to_owned(), Origin::ascii_serialization)
}

/// A version 4 UUID: <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-4>
fn uuid(random: u128) -> String {
    let version = random & !(0xF << 76) | 0x4 << 76;
    let bits = version & !(0b11 << 62) | 0b10 << 62;
    let digits = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// <https://w3c.github.io/FileAPI/#dfn-createObjectURL>
pub(crate) fn create_object_url(args: &[JsValue], context: &mut Context) -> JsResult<JsString> {
    let blob = This::<Blob>::from_value(args.get_or_undefined(0)).ok_or_else(|| {
        JsNativeError::typ().with_message("URL.createObjectURL: argument 1 is not a Blob")
    })?;
    let state = LoopState::of(context)?;
    let entry = BlobUrlEntry {
        blob: SharedBlob::of(&blob),
        origin: state.script_origin(),
    };
    Ok(from_utf8(&state.blob_urls().add(entry)))
}

/// <https://w3c.github.io/FileAPI/#dfn-revokeObjectURL>
pub(crate) fn revoke_object_url(args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let state = LoopState::of(context)?;
    let origin = state.script_origin();
    // 1. to 3.
    // The URL as it was made, and no other: with a fragment it is none of the store's.
    if let Ok(url) = Url::parse(&url)
        && url.fragment().is_none()
        && let Some(key) = key(&url)
    {
        let mut store = lock();
        // 4. to 6. Agents of another origin have other storage keys.
        let authorized = store
            .get(key)
            .is_some_and(|stored| stored.entry.origin == origin);
        // 7.
        let removed = if authorized { store.remove(key) } else { None };
        drop(store);
        if let Some(stored) = removed
            && let Some(before) = state.next_job()
        {
            state.blob_urls().revoked.borrow_mut().push(Revoked {
                url: key.to_owned(),
                entry: stored.entry,
                before,
            });
        }
    }
    Ok(JsValue::undefined())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        Options,
        testing::{Agent, cases},
    };

    fn agent(base_url: &str) -> Agent {
        Agent::with(Options {
            base_url: Some(base_url.parse().unwrap()),
            ..Options::default()
        })
    }

    fn text(url: &str) -> Option<(String, String)> {
        let entry = resolve(&url.parse().unwrap())?;
        let bytes = entry.blob.data.contiguous(u64::MAX).unwrap().into_owned();
        Some((String::from_utf8(bytes).unwrap(), entry.blob.kind))
    }

    #[test]
    fn a_url_stands_for_its_blob_on_every_thread_until_it_is_revoked() {
        let mut agent = agent("https://example.com:81/a/b");
        let url = agent
            .eval("globalThis.url = URL.createObjectURL(new Blob(['ab', 'c'], { type: 'Text/X' }))")
            .unwrap();
        assert!(url.starts_with("blob:https://example.com:81/"), "{url}");
        let elsewhere = url.clone();
        let resolved = std::thread::spawn(move || text(&elsewhere)).join().unwrap();
        let expected = Some((String::from("abc"), String::from("text/x")));
        assert_eq!(resolved, expected);
        assert_eq!(text(&format!("{url}#fragment")), expected);
        for other in ["?query", "/path", "?", "0"] {
            assert_eq!(text(&format!("{url}{other}")), None, "{other}");
        }
        agent
            .eval("URL.revokeObjectURL(url + '?'); URL.revokeObjectURL(url + '#x'); URL.revokeObjectURL('x'); URL.revokeObjectURL(url.slice(5))")
            .unwrap();
        assert_eq!(text(&url), expected);
        agent.eval("URL.revokeObjectURL(url)").unwrap();
        assert_eq!(text(&url), None);
    }

    #[test]
    fn an_agent_takes_its_urls_with_it_and_no_others() {
        let mut one = agent("https://example.com/");
        let mut two = agent("https://example.com/");
        let create = "URL.createObjectURL(new Blob)";
        let of_one = one.eval(create).unwrap();
        let of_two = two.eval(create).unwrap();
        drop(one);
        assert_eq!(text(&of_one), None);
        assert!(text(&of_two).is_some());
    }

    #[test]
    fn only_an_agent_of_the_same_origin_revokes() {
        let mut one = agent("https://example.com/");
        let url = one.eval("URL.createObjectURL(new Blob)").unwrap();
        let revoke = format!("URL.revokeObjectURL('{url}')");
        agent("https://example.org/").eval(&revoke).unwrap();
        assert!(text(&url).is_some());
        agent("https://example.com/other").eval(&revoke).unwrap();
        assert_eq!(text(&url), None);
    }

    #[test]
    fn urls_have_an_origin_and_a_uuid() {
        let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
        let script = format!(
            "const [a, b] = [1, 2].map(() => URL.createObjectURL(new Blob));
             [a, b].every(url => /^blob:null\\/{uuid}$/.test(url)) && a !== b && new URL(a).href === a"
        );
        cases(&[
            (&script, "true"),
            ("error(() => URL.createObjectURL({}))", "TypeError"),
            ("error(() => URL.createObjectURL())", "TypeError"),
            ("error(() => URL.revokeObjectURL())", "TypeError"),
        ]);
        assert_eq!(super::uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            super::uuid(u128::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
