//! Fetching scripts: <https://html.spec.whatwg.org/multipage/webappapis.html#fetching-scripts>
//!
//! Scripts of workers, what `importScripts()` names and modules come from `file:`, `data:`, `blob:`, `http:` and `https:`
//! URLs. Everything is fetched whole and decoded as UTF-8.

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;

use std::{io, path::PathBuf, time::Duration};

use data_url::DataUrl;
use url::{Origin, Url};
use we_net::{Client, HttpError};

use super::mime::Essence;
use crate::file;

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

/// A script that has arrived.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Where it came from at last, redirects followed.
    pub(crate) url: Url,
    pub(crate) text: String,
}

/// Why a script could not be fetched, for the person who runs the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
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
    /// Fetches a script. Uses the sockets and timers of the tokio runtime that polls it.
    pub(crate) async fn fetch(
        &self,
        url: &Url,
        destination: Destination,
    ) -> Result<Fetched, FetchError> {
        let (response_url, bytes) = match url.scheme() {
            "file" => (url.clone(), self.file(url)?),
            "data" => (url.clone(), data(url, destination)?),
            "blob" => (url.clone(), blob(url, destination)?),
            "http" | "https" => {
                let exchange = self.http(url, destination);
                tokio::time::timeout(TIME_LIMIT, exchange)
                    .await
                    .map_err(|_| FetchError::TooSlow { url: url.clone() })??
            }
            _ => return Err(FetchError::Scheme(url.clone())),
        };
        Ok(Fetched {
            url: response_url,
            text: decode(&bytes),
        })
    }

    fn file(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        if !self.reads_files {
            return Err(FetchError::FileFromElsewhere(url.clone()));
        }
        let path = url
            .to_file_path()
            .map_err(|()| FetchError::NoFile(url.clone()))?;
        // A file has no type.
        std::fs::read(&path).map_err(|source| FetchError::Read { path, source })
    }

    async fn http(
        &self,
        url: &Url,
        destination: Destination,
    ) -> Result<(Url, Vec<u8>), FetchError> {
        let failed = |source| FetchError::Http {
            url: url.clone(),
            source: Box::new(source),
        };
        let mut request = self.client.get(url.as_str()).map_err(failed)?;
        if let Some(origin) = self.foreigner_to(url) {
            request = request
                .header("Origin", origin.ascii_serialization())
                .map_err(failed)?;
        }
        let response = loop {
            self.refuse_foreign(request.url(), destination)?;
            let response = request.send_once().await.map_err(failed)?;
            if destination.needs_cors()
                && let Some(origin) = self.foreigner_to(&response.url)
                && !shares_with(&response, origin)
            {
                return Err(FetchError::NotShared(response.url));
            }
            match request.redirected(&response).map_err(failed)? {
                Some(next) => request = next,
                None => break response,
            }
        };
        let status = response.status;
        // https://fetch.spec.whatwg.org/#ok-status
        if !(200..=299).contains(&status) {
            return Err(FetchError::Status {
                url: response.url,
                status,
            });
        }
        let types: Vec<_> = response.headers.values("content-type").collect();
        let found = String::from_utf8_lossy(types.last().copied().unwrap_or_default());
        destination.check(&found, &response.url)?;
        let bytes = response.body.collect(MAX_SCRIPT).await.map_err(failed)?;
        Ok((response.url, bytes))
    }
}

impl Fetcher {
    /// The origin of who asks, if that is another one than the URL's.
    fn foreigner_to(&self, url: &Url) -> Option<&Origin> {
        self.origin
            .as_ref()
            .filter(|origin| **origin != url.origin())
    }

    /// The mode "same-origin" of <https://fetch.spec.whatwg.org/#concept-request-mode>.
    fn refuse_foreign(&self, url: &Url, destination: Destination) -> Result<(), FetchError> {
        match self.foreigner_to(url) {
            Some(_) if destination.is_worker() => Err(FetchError::Foreign(url.clone())),
            _ => Ok(()),
        }
    }
}

/// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check), without credentials.
fn shares_with(response: &we_net::http::Response, origin: &Origin) -> bool {
    let mut allowed = response.headers.values("access-control-allow-origin");
    match (allowed.next(), allowed.next()) {
        (Some(allowed), None) => {
            allowed == b"*" || allowed == origin.ascii_serialization().as_bytes()
        }
        _ => false,
    }
}

impl Destination {
    /// Whether this is the script that a worker begins with: it must be of the origin of who starts the worker.
    fn is_worker(self) -> bool {
        matches!(self, Self::Worker | Self::ModuleWorker)
    }

    /// Whether a script of another origin must be shared explicitly: <https://fetch.spec.whatwg.org/#http-cors-protocol>
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

/// <https://fetch.spec.whatwg.org/#scheme-fetch>, "blob"
fn blob(url: &Url, destination: Destination) -> Result<Vec<u8>, FetchError> {
    let entry = file::resolve(url).ok_or_else(|| FetchError::NoBlob(url.clone()))?;
    destination.check(&entry.kind, url)?;
    let bytes = entry
        .data
        .contiguous(MAX_SCRIPT as u64)
        .map_err(|_| FetchError::TooLarge { url: url.clone() })?;
    Ok(bytes.into_owned())
}

/// [UTF-8 decode](https://encoding.spec.whatwg.org/#utf-8-decode): without a byte order mark, bad bytes replaced.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let (text, _) = encoding_rs::UTF_8.decode_with_bom_removal(bytes);
    text.into_owned()
}
