//! Fetching scripts: <https://html.spec.whatwg.org/multipage/webappapis.html#fetching-scripts>
//!
//! Scripts of workers, what `importScripts()` names and modules come from `file:`, `data:`, `blob:`, `http:` and `https:`
//! URLs. Everything is fetched whole and decoded as UTF-8.

mod http;
mod local;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, time::Duration};

use data_url::DataUrl;
use url::{Origin, Url};
use we_net::{Client, HttpError};

pub(super) use self::local::read as read_file;
use super::mime::Essence;
use crate::file::{self, BlobUrlEntry};

/// The longest script, in bytes: more than any that a person or a bundler has written, less than what could fill the
/// memory.
const MAX_SCRIPT: usize = 256 << 20;

/// How long a script may take from a server, redirects and all.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What a script is fetched for, which decides on the MIME types that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// [A classic script of a worker](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-script)
    Worker,
    /// [A module that a worker begins with](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-worklet/module-worker-script-graph)
    ModuleWorker,
    /// [What `importScripts()` asks for][spec]
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-imported-script
    ImportScripts,
    /// [A JavaScript module](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-single-module-script)
    Module,
    /// A JSON module
    JsonModule,
}

/// What to fetch: a URL with the [blob URL entry](https://url.spec.whatwg.org/#concept-url-blob-entry) that it had when
/// it was parsed. To revoke the URL then no longer matters.
pub(crate) struct Target {
    url: Url,
    blob: Option<BlobUrlEntry>,
}

impl Target {
    pub(crate) fn new(url: Url) -> Self {
        let blob = file::resolve(&url);
        Self::with_entry(url, blob)
    }

    /// A URL whose entry, if it has one, is known.
    pub(crate) fn with_entry(url: Url, blob: Option<BlobUrlEntry>) -> Self {
        Self { url, blob }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// A script that has arrived.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Where it came from at last, redirects followed.
    pub(crate) url: Url,
    pub(crate) text: String,
    /// Whether it came from a server of another origin than the agent's, or by way of one. Where the agent has no origin,
    /// nothing does.
    pub(crate) is_cross_origin: bool,
}

/// Why a script could not be fetched, for the person who runs the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read {}: it is no regular file", .0.display())]
    NoRegularFile(PathBuf),
    #[error("cannot read {}: it is larger than {} MiB", .0.display(), MAX_SCRIPT >> 20)]
    LargeFile(PathBuf),
    #[error("cannot load {0}: it names no local file")]
    NoFile(Url),
    #[error("cannot load {0}: a script from elsewhere may not read local files")]
    FileFromElsewhere(Url),
    #[error("cannot load {0}: scripts are loaded from file:, http:, https:, data: and blob: URLs")]
    Scheme(Url),
    #[error("cannot load {0}: the data: URL is malformed")]
    Data(String),
    #[error("cannot load {0}: the URL was revoked or never made")]
    NoBlob(Url),
    #[error("cannot load {url}: {source}")]
    Http { url: Url, source: Box<HttpError> },
    #[error("cannot load {url}: the server answered with status {status}")]
    Status { url: Url, status: u16 },
    #[error("cannot load {0}: the script of a worker must be of the same origin as who starts it")]
    Foreign(Url),
    #[error(
        "cannot load {0}: the server does not share it with this origin (Access-Control-Allow-Origin)"
    )]
    NotShared(Url),
    #[error("cannot load {0}: the URL was made by scripts of another origin")]
    ForeignBlob(Url),
    #[error("cannot load {url}: it took longer than {} s", TIME_LIMIT.as_secs())]
    TooSlow { url: Url },
    #[error("cannot load {url}: its type is \"{found}\", not {wanted}")]
    Type {
        url: String,
        found: String,
        wanted: &'static str,
    },
    #[error("cannot load {url}: it is larger than {} MiB", MAX_SCRIPT >> 20)]
    TooLarge { url: Url },
}

/// Whether URLs of a scheme name something that a server has.
pub(crate) fn is_remote(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "ws" | "wss")
}

/// What an agent may fetch, and how.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) client: Client,
    /// Whom requests to other origins name as the asker.
    pub(crate) origin: Option<Origin>,
    /// Whether `file:` URLs are open to the agent: not if its own script came from a server.
    pub(crate) reads_files: bool,
}

impl Fetcher {
    /// Fetches a script. Uses the sockets, timers and threads for blocking work of the tokio runtime that polls it.
    pub(crate) async fn fetch(
        &self,
        target: &Target,
        destination: Destination,
    ) -> Result<Fetched, FetchError> {
        let url = &target.url;
        let bytes = match url.scheme() {
            "file" => self.file(url).await?,
            "data" => data(url, destination)?,
            "blob" => self.blob(target, destination)?,
            "http" | "https" => {
                let exchange = self.http(url, destination);
                return tokio::time::timeout(TIME_LIMIT, exchange)
                    .await
                    .map_err(|_| FetchError::TooSlow { url: url.clone() })?;
            }
            _ => return Err(FetchError::Scheme(url.clone())),
        };
        Ok(Fetched {
            is_cross_origin: false,
            url: url.clone(),
            text: decode(&bytes),
        })
    }

    async fn file(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        if !self.reads_files {
            return Err(FetchError::FileFromElsewhere(url.clone()));
        }
        let path = url
            .to_file_path()
            .map_err(|()| FetchError::NoFile(url.clone()))?;
        // A file has no type.
        local::read(path).await
    }

    /// The origin of who asks, if that is another one than the URL's.
    fn foreigner_to(&self, origin: &Origin) -> Option<&Origin> {
        self.origin.as_ref().filter(|asker| *asker != origin)
    }

    /// <https://fetch.spec.whatwg.org/#scheme-fetch>, "blob"
    fn blob(&self, target: &Target, destination: Destination) -> Result<Vec<u8>, FetchError> {
        let url = &target.url;
        let entry = target
            .blob
            .as_ref()
            .ok_or_else(|| FetchError::NoBlob(url.clone()))?;
        // https://w3c.github.io/FileAPI/#blob-url-access
        if self.origin.is_some() && self.origin != entry.origin {
            return Err(FetchError::ForeignBlob(url.clone()));
        }
        destination.check(&entry.blob.kind, url)?;
        let bytes = entry
            .blob
            .data
            .contiguous(MAX_SCRIPT as u64)
            .map_err(|_| FetchError::TooLarge { url: url.clone() })?;
        Ok(bytes.into_owned())
    }
}

impl Destination {
    /// Whether this is the script that a worker begins with: it must be of the origin of who starts the worker.
    fn is_worker(self) -> bool {
        matches!(self, Self::Worker | Self::ModuleWorker)
    }

    /// Whether a script of another origin must be shared explicitly, the mode "cors" of a request:
    /// <https://fetch.spec.whatwg.org/#http-cors-protocol>
    fn needs_cors(self) -> bool {
        matches!(self, Self::Module | Self::JsonModule)
    }

    /// Whether something of the type that its `Content-Type` says may be used for this.
    fn check(self, content_type: &str, url: &Url) -> Result<(), FetchError> {
        let essence = Essence::of(content_type);
        let (is_good, wanted) = match self {
            Self::Worker | Self::ModuleWorker | Self::ImportScripts | Self::Module => {
                (essence.is_javascript(), "text/javascript")
            }
            Self::JsonModule => (essence.is_json(), "application/json"),
        };
        // "If all of the following are true: response's URL's scheme is an HTTP(S) scheme ..."
        let is_exempt = self == Self::Worker && !matches!(url.scheme(), "http" | "https");
        if is_good || is_exempt {
            return Ok(());
        }
        let mut shown = url.to_string();
        if url.scheme() == "data" {
            shown.truncate(
                shown
                    .char_indices()
                    .nth(60)
                    .map_or(shown.len(), |(at, _)| at),
            );
        }
        Err(FetchError::Type {
            url: shown,
            found: content_type.to_owned(),
            wanted,
        })
    }
}

/// <https://fetch.spec.whatwg.org/#data-url-processor>
fn data(url: &Url, destination: Destination) -> Result<Vec<u8>, FetchError> {
    let malformed = || FetchError::Data(url.as_str().chars().take(60).collect());
    let data = DataUrl::process(url.as_str()).map_err(|_| malformed())?;
    destination.check(&data.mime_type().to_string(), url)?;
    let (bytes, _) = data.decode_to_vec().map_err(|_| malformed())?;
    Ok(bytes)
}

/// [UTF-8 decode](https://encoding.spec.whatwg.org/#utf-8-decode): without a byte order mark, bad bytes replaced.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let (text, _) = encoding_rs::UTF_8.decode_with_bom_removal(bytes);
    text.into_owned()
}
