//! Where the scripts of an agent come from, and what follows from it: their base URL, their origin, what they may load.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

use url::{Host, Origin, Url};

use super::LoopState;
use super::options::FileAccess;
#[cfg(doc)]
use super::options::Options;
use crate::fetch::{Fetcher, Target, is_remote};

/// Where an agent's scripts come from, beyond what its [`Options`] say.
#[derive(Default)]
pub(super) struct Provenance {
    /// The URL of the script that the agent began with.
    entry_url: OnceCell<Url>,
    /// The origin of a worker that has inherited none: that of the server that its script came from.
    servers_origin: OnceCell<Origin>,
    outside_origin: RefCell<Option<Origin>>,
    /// The classic scripts whose errors are muted, as stacks show them.
    muted_sources: RefCell<HashSet<String>>,
}

impl LoopState {
    /// The URL that scripts believe in: [`Options::base_url`], or else the URL of the script that the agent began with.
    #[must_use]
    pub fn base_url(&self) -> Option<&Url> {
        self.options
            .base_url
            .as_ref()
            .or_else(|| self.provenance.entry_url.get())
    }

    /// Tells the URL of the agent's script. Only the first counts.
    pub(crate) fn set_entry_url(&self, url: Url) {
        self.provenance.entry_url.get_or_init(|| url);
    }

    /// Whether the agent may load scripts from `file:` URLs.
    pub(crate) fn reads_files(&self) -> bool {
        let is_local = |url: Option<&Url>| !url.is_some_and(|url| is_remote(url.scheme()));
        match self.options.file_access {
            FileAccess::Refused => false,
            // A worker's script may come from elsewhere than what the embedder allowed it to.
            FileAccess::Allowed => self.is_main() || is_local(self.provenance.entry_url.get()),
            FileAccess::OfLocalPrograms => {
                is_local(self.options.base_url.as_ref())
                    && is_local(self.provenance.entry_url.get())
                    && !matches!(self.origin(), Some(Origin::Tuple(scheme, ..)) if is_remote(&scheme))
            }
        }
    }

    /// Whether `fetch()` may read `file:` URLs: where the embedder has said so, not where it has said nothing.
    pub(crate) fn fetches_files(&self) -> bool {
        self.options.file_access == FileAccess::Allowed && self.reads_files()
    }

    /// How the agent fetches scripts.
    pub(crate) fn fetcher(&self) -> Fetcher {
        let outside = self.provenance.outside_origin.borrow().clone();
        Fetcher {
            client: self.options.client.clone(),
            origin: outside.or_else(|| self.origin()),
            reads_files: self.reads_files(),
        }
    }

    /// What is to be fetched for an import, which is a job: a `blob:` URL stands for what it stood for when the script
    /// asked.
    pub(crate) fn import_target(&self, url: Url) -> Target {
        match self.running_job.get() {
            Some(job) => {
                let entry = self.blob_urls.resolve_for(job, &url);
                Target::with_entry(url, entry)
            }
            None => Target::new(url),
        }
    }

    /// Has scripts fetched for another origin than the agent's, until that is taken back: the [outside settings][spec] of a
    /// worker, for what its module imports statically.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/workers.html#run-a-worker
    pub(crate) fn set_outside_origin(&self, origin: Option<Origin>) {
        *self.provenance.outside_origin.borrow_mut() = origin;
    }

    /// [Mutes the errors](https://html.spec.whatwg.org/multipage/webappapis.html#muted-errors) of a script, as stacks name
    /// it: it is of another origin.
    pub(crate) fn mute_errors_of(&self, source: &str) {
        self.provenance
            .muted_sources
            .borrow_mut()
            .insert(source.to_owned());
    }

    /// Whether there are any such scripts.
    pub(crate) fn mutes_errors(&self) -> bool {
        !self.provenance.muted_sources.borrow().is_empty()
    }

    pub(crate) fn mutes_errors_of(&self, source: &str) -> bool {
        self.provenance.muted_sources.borrow().contains(source)
    }

    /// The origin that requests carry: [`Options::origin`], or that of the server that a worker's script came from.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let own = self.options.origin.as_ref();
        own.or_else(|| self.provenance.servers_origin.get())
            .cloned()
    }

    /// Gives a worker that has inherited no origin that of the server that its script came from.
    pub(crate) fn adopt_origin(&self, origin: Origin) {
        if self.options.origin.is_none() {
            self.broadcasts.set_origin(origin.clone());
            self.provenance.servers_origin.get_or_init(|| origin);
        }
    }

    /// The [origin](https://html.spec.whatwg.org/multipage/webappapis.html#concept-settings-object-origin) that scripts run
    /// in: the one that requests carry, or else the base URL's. `None` is that of a program without one.
    pub(crate) fn script_origin(&self) -> Option<Origin> {
        self.origin().or_else(|| {
            let base = self.base_url().map(Url::origin);
            base.filter(Origin::is_tuple)
        })
    }

    /// The [serialization](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin) of the
    /// origin that scripts run in.
    pub(crate) fn serialized_origin(&self) -> String {
        self.script_origin()
            .map_or_else(|| "null".to_owned(), |origin| origin.ascii_serialization())
    }

    /// [Secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context): not one whose script comes
    /// from a server that [anybody could stand for][spec].
    ///
    /// [spec]: https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy
    pub(crate) fn is_secure_context(&self) -> bool {
        let Some(Origin::Tuple(scheme, host, _)) = self.script_origin() else {
            return true;
        };
        match host {
            _ if matches!(scheme.as_str(), "https" | "wss") => true,
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }
}
