//! The algorithm behind `fetch()`, which touches no JavaScript: <https://fetch.spec.whatwg.org/#fetching>
//!
//! There is neither a cache nor a cookie here, nor a service worker. Where the embedder has not said which origin the
//! scripts are of, all servers are as good as their own: nothing is cross-origin then.

mod error;
mod network;
mod schemes;

use std::{cell::RefCell, rc::Rc};

use url::{Origin, Url};
use we_net::{
    Client,
    http::{MAX_REDIRECTS, RequestBody},
};

pub(crate) use self::error::NetworkError;
pub(super) use self::network::Remote;
use self::network::{Keepalive, Shown};
use crate::fetch::{
    cors,
    enums::{Credentials, Mode, Redirect, ReferrerPolicy},
    header_list::{HeaderList, cors_unsafe_names, is_forbidden_response_header},
    integrity,
    referrer::{Ask, Referrer, is_same},
    request::{self, is_cors_safelisted_method},
    response::{self, ResponseType, is_null_body_status},
};
use crate::{event_loop::LoopState, file::BlobData};

/// [Response tainting](https://fetch.spec.whatwg.org/#concept-request-response-tainting)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tainting {
    Basic,
    Cors,
    Opaque,
}

/// The body of a request.
pub(super) enum Upload {
    None,
    Data(BlobData),
    /// To be sent once.
    Stream(Option<RequestBody>),
}

/// Who fetches.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) origin: Option<Origin>,
    pub(super) base: Option<Url>,
    pub(super) reads_files: bool,
    /// The most bytes that are read into memory at once.
    pub(super) limit: u64,
    pub(super) agent: Rc<LoopState>,
}

impl Asker {
    pub(super) fn of(agent: Rc<LoopState>) -> Self {
        Self {
            client: agent.options().client.clone(),
            origin: agent.script_origin(),
            base: agent.base_url().cloned(),
            reads_files: agent.fetches_files(),
            limit: agent.options().max_buffer_size,
            agent,
        }
    }
}

/// A response, filtered.
pub(super) struct Received {
    pub(super) head: response::Head,
    pub(super) body: ReceivedBody,
}

pub(super) enum ReceivedBody {
    None,
    Data(BlobData),
    Network(Box<Remote>),
}

/// A fetch at work.
pub(super) struct Fetching {
    request: request::Head,
    upload: Upload,
    asker: Asker,
    keepalive: Option<Keepalive>,
    /// The URLs so far, the last of which is the current one.
    urls: Vec<Url>,
    tainting: Tainting,
    policy: ReferrerPolicy,
}

/// What comes of one URL.
enum Hop {
    Response(Received),
    Redirect {
        status: u16,
        url: Url,
        policy: Option<ReferrerPolicy>,
    },
}

impl Fetching {
    pub(super) fn new(request: request::Head, upload: Upload, asker: Asker) -> Self {
        Self {
            urls: vec![request.url.clone()],
            policy: request.referrer_policy,
            request,
            upload,
            asker,
            keepalive: None,
            tainting: Tainting::Basic,
        }
    }

    fn url(&self) -> &Url {
        self.urls.last().unwrap_or(&self.request.url)
    }

    /// Whether a URL is of the origin that asks.
    fn is_own(&self, url: &Url) -> bool {
        let Some(origin) = &self.asker.origin else {
            return true;
        };
        match &self.request.blob {
            Some(entry) if url.scheme() == "blob" => entry.origin.as_ref() == Some(origin),
            _ => is_same(origin, &url.origin()),
        }
    }

    /// Fetches. Uses the sockets and timers of the tokio runtime that polls it.
    pub(super) async fn run(mut self) -> Result<Received, NetworkError> {
        let response = loop {
            match self.main_fetch().await? {
                Hop::Response(response) => break response,
                Hop::Redirect {
                    status,
                    url,
                    policy,
                } => {
                    self.redirect(status, url)?;
                    self.policy = policy.unwrap_or(self.policy);
                }
            }
        };
        self.finish(response).await
    }

    /// [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch) steps 8 to 12
    async fn main_fetch(&mut self) -> Result<Hop, NetworkError> {
        let url = self.url().clone();
        // Step 8: what the request says of where it comes from may only become less.
        self.request.referrer = match self.ask(&url).referrer() {
            Some(referrer) => Referrer::Url(referrer),
            None => Referrer::None,
        };
        let is_basic = self.is_own(&url) && self.tainting == Tainting::Basic;
        // Who may read files may read any, whatever the origin.
        let is_file = url.scheme() == "file" && self.asker.reads_files;
        if is_basic || is_file || matches!(url.scheme(), "data") {
            self.tainting = Tainting::Basic;
            return self.scheme_fetch(url).await;
        }
        match self.request.mode {
            Mode::SameOrigin | Mode::Navigate => Err(NetworkError::Foreign),
            Mode::NoCors if self.request.redirect != Redirect::Follow => {
                Err(NetworkError::NoCorsRedirect)
            }
            Mode::NoCors => {
                self.tainting = Tainting::Opaque;
                self.scheme_fetch(url).await
            }
            Mode::Cors if !is_http(&url) => Err(NetworkError::Scheme(url.scheme().to_owned())),
            Mode::Cors => {
                self.tainting = Tainting::Cors;
                let unsafe_names = cors_unsafe_names(&self.request.headers.borrow());
                let is_unsafe =
                    !is_cors_safelisted_method(&self.request.method) || !unsafe_names.is_empty();
                let needs_preflight =
                    self.request.use_preflight || (self.request.is_unsafe && is_unsafe);
                if needs_preflight {
                    self.preflight(&url, &unsafe_names).await?;
                }
                self.http_fetch(url).await
            }
        }
    }

    /// [HTTP fetch](https://fetch.spec.whatwg.org/#concept-http-fetch) from the network on
    async fn http_fetch(&mut self, url: Url) -> Result<Hop, NetworkError> {
        let (response, slot) = self.network_fetch(&url).await?;
        let headers = HeaderList::from(&response.headers);
        if self.tainting == Tainting::Cors && !self.is_shared(&headers) {
            return Err(NetworkError::NotShared);
        }
        if response::is_redirect_status(response.status) {
            match self.request.redirect {
                Redirect::Error => return Err(NetworkError::Redirect),
                Redirect::Manual => {
                    let head = response::Head {
                        kind: ResponseType::OpaqueRedirect,
                        url: Some(url),
                        redirected: self.urls.len() > 1,
                        status: 0,
                        ..response::Head::default()
                    };
                    let body = ReceivedBody::None;
                    return Ok(Hop::Response(Received { head, body }));
                }
                Redirect::Follow => {
                    if let Some(url) = response.location()? {
                        let status = response.status;
                        let policy = cors::referrer_policy(&headers);
                        return Ok(Hop::Redirect {
                            status,
                            url,
                            policy,
                        });
                    }
                }
            }
        }
        let head = response::Head {
            kind: ResponseType::Default,
            url: Some(url),
            redirected: self.urls.len() > 1,
            status: response.status,
            status_text: response.reason,
            headers: Rc::new(RefCell::new(headers)),
        };
        let body = ReceivedBody::Network(Box::new(Remote {
            body: response.body,
            _slot: slot,
            _keepalive: self.keepalive.take(),
        }));
        Ok(Hop::Response(Received { head, body }))
    }

    /// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check)
    fn is_shared(&self, headers: &HeaderList) -> bool {
        let origin = self.serialized_origin().unwrap_or_default();
        let with_credentials = self.request.credentials == Credentials::Include;
        cors::is_shared(headers, &origin, with_credentials)
    }

    /// [Serializing a request origin](https://fetch.spec.whatwg.org/#serializing-a-request-origin)
    fn serialized_origin(&self) -> Option<String> {
        let origin = self.asker.origin.as_ref()?;
        // https://fetch.spec.whatwg.org/#concept-request-tainted-origin
        let is_tainted = self.urls.windows(2).any(|pair| match pair {
            [last, url] => {
                !is_same(&url.origin(), &last.origin()) && !is_same(origin, &last.origin())
            }
            _ => false,
        });
        Some(if is_tainted {
            String::from("null")
        } else {
            origin.ascii_serialization()
        })
    }

    /// [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#concept-http-redirect-fetch), up to the next main fetch
    fn redirect(&mut self, status: u16, location: Url) -> Result<(), NetworkError> {
        // 6.
        if !is_http(&location) {
            return Err(NetworkError::RedirectScheme(location.scheme().to_owned()));
        }
        // 7., 8.
        if self.urls.len() > usize::from(MAX_REDIRECTS) {
            return Err(NetworkError::TooManyRedirects);
        }
        // 9., 10.
        let has_credentials = !location.username().is_empty() || location.password().is_some();
        let is_foreign = self.request.mode == Mode::Cors && !self.is_own(&location);
        if has_credentials && (is_foreign || self.tainting == Tainting::Cors) {
            return Err(NetworkError::RedirectCredentials);
        }
        // 11.
        if status != 303 && matches!(self.upload, Upload::Stream(_)) {
            return Err(NetworkError::RedirectStream);
        }
        // 12.
        let mut headers = self.request.headers.borrow_mut();
        let method = &*self.request.method;
        let becomes_get = match status {
            301 | 302 => method == "POST",
            303 => !matches!(method, "GET" | "HEAD"),
            _ => false,
        };
        if becomes_get {
            self.request.method = String::from("GET");
            self.upload = Upload::None;
            // https://fetch.spec.whatwg.org/#request-body-header-name
            for name in ["Encoding", "Language", "Location", "Type"] {
                headers.delete(&format!("Content-{name}"));
            }
        }
        // 13.
        if !is_same(&self.url().origin(), &location.origin()) {
            headers.delete("Authorization");
        }
        // 14. to 18.
        drop(headers);
        self.urls.push(location);
        Ok(())
    }

    fn ask<'a>(&'a self, target: &'a Url) -> Ask<'a> {
        Ask {
            referrer: &self.request.referrer,
            policy: self.policy,
            client: self.asker.base.as_ref(),
            target,
        }
    }

    /// [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch-0)
    async fn preflight(&self, url: &Url, unsafe_names: &[String]) -> Result<(), NetworkError> {
        let mut headers = HeaderList::default();
        headers.append("Accept", "*/*");
        headers.append(
            "Access-Control-Request-Method",
            self.request.method.as_str(),
        );
        if !unsafe_names.is_empty() {
            headers.append("Access-Control-Request-Headers", unsafe_names.join(","));
        }
        headers.append("Origin", self.serialized_origin().unwrap_or_default());
        let mut target = url.clone();
        without_credentials(&mut target);
        let body = RequestBody::none();
        let sent = self.send("OPTIONS", target, &headers, body, Shown::Nothing);
        let (response, _slot) = sent.await?;
        let answered = HeaderList::from(&response.headers);
        if !self.is_shared(&answered) || !(200..=299).contains(&response.status) {
            return Err(NetworkError::Preflight(
                "it does not say that it shares its answer",
            ));
        }
        let asked = cors::Asked {
            method: &self.request.method,
            has_authorization: self.request.headers.borrow().contains("Authorization"),
            unsafe_names,
            with_credentials: self.request.credentials == Credentials::Include,
            use_preflight: self.request.use_preflight,
        };
        asked.check(&answered).map_err(NetworkError::Preflight)
    }

    /// [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch) from step 13 on
    async fn finish(&self, mut response: Received) -> Result<Received, NetworkError> {
        let head = &mut response.head;
        if self.request.method == "HEAD" || is_null_body_status(head.status) {
            response.body = ReceivedBody::None;
        }
        let has_body = !matches!(response.body, ReceivedBody::None);
        match self.tainting {
            _ if head.kind == ResponseType::OpaqueRedirect => {}
            Tainting::Basic => {
                head.kind = ResponseType::Basic;
                let keep = |name: &str| !is_forbidden_response_header(name);
                head.headers.borrow_mut().retain(keep);
            }
            Tainting::Cors => {
                head.kind = ResponseType::Cors;
                let with_credentials = self.request.credentials == Credentials::Include;
                cors::filter(&mut head.headers.borrow_mut(), with_credentials);
            }
            // Of another origin that does not share it: it has come, and that is all that is told.
            Tainting::Opaque => {
                response.head = response::Head {
                    kind: ResponseType::Opaque,
                    status: 0,
                    ..response::Head::default()
                };
                // Nobody can tell whether the rest of it comes, so the connection is closed.
                response.body = ReceivedBody::None;
            }
        }
        // What cannot be seen, or is not there, cannot be verified.
        if !self.request.integrity.is_empty() {
            if self.tainting == Tainting::Opaque || !has_body {
                return Err(NetworkError::Integrity);
            }
            response.body = self.verify(response.body).await?;
        }
        Ok(response)
    }

    /// Reads the whole body, which must be one of those that were asked for.
    async fn verify(&self, body: ReceivedBody) -> Result<ReceivedBody, NetworkError> {
        let integrity = integrity::parse(&self.request.integrity.to_std_string_lossy());
        // Of algorithms that nobody knows, say.
        if integrity.is_empty() {
            return Ok(body);
        }
        let data = match body {
            ReceivedBody::None => BlobData::default(),
            ReceivedBody::Data(data) => data,
            ReceivedBody::Network(remote) => {
                let limit = usize::try_from(self.asker.limit).unwrap_or(usize::MAX);
                let bytes = remote.body.collect(limit).await?;
                let mut aligned = aligned_vec::AVec::new(0);
                aligned
                    .try_reserve_exact(bytes.len())
                    .map_err(|_| NetworkError::Integrity)?;
                aligned.extend_from_slice(&bytes);
                aligned.into()
            }
        };
        let bytes = data
            .contiguous(self.asker.limit)
            .map_err(|_| NetworkError::Integrity)?;
        if !integrity::matches(&bytes, &integrity) {
            return Err(NetworkError::Integrity);
        }
        drop(bytes);
        Ok(ReceivedBody::Data(data))
    }
}

/// Neither fails for a URL with a host.
fn without_credentials(url: &mut Url) {
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// <https://fetch.spec.whatwg.org/#http-scheme>
fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
