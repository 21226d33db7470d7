//! The [`Request`] and the [`Response`] to it.

use std::fmt;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use super::exchange::exchange;
use super::{Body, HttpError, RequestBody};
use crate::Client;
use crate::handshake::{
    HeaderError, Headers, authority, basic_authorization, for_log, is_bad_port, shown_input,
};
use crate::transport::ConnectError;
use crate::transport::reach::{Identity, port};

/// How long [`Body::chunk`] waits unless told otherwise.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the client calls itself.
const USER_AGENT: &str = concat!("we/", env!("CARGO_PKG_VERSION"));

/// Headers that are about the connection or the form of the message, which are not the caller's
/// affair.
const RESERVED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A request about to be sent; [`Client::get`] and [`Client::http`] make it.
#[derive(Clone)]
pub struct Request {
    client: Client,
    method: Method,
    pub(super) url: Url,
    /// The caller's headers.
    pub(super) headers: Headers,
    idle: Option<Duration>,
    /// Whether the server may take as long as it wants to answer.
    is_patient: bool,
    identity: Identity,
    /// How many redirects have led here.
    pub(super) redirects: u8,
}

/// What a server has answered.
#[non_exhaustive]
pub struct Response {
    /// The status. All are answers: a 404 is no error here.
    pub status: u16,
    /// What the server says of the status in words, if anything.
    pub reason: Vec<u8>,
    /// The URL that has answered, which is another one than was asked for if there were redirects.
    /// Its fragment is the last one that was given.
    pub url: Url,
    /// Whether there were redirects.
    pub redirected: bool,
    /// The headers, their names in lower case.
    pub headers: Headers,
    /// The body, which has not been read yet.
    pub body: Body,
}

impl Client {
    /// Prepares a GET request for `url`, which must be absolute.
    ///
    /// See [`http`](crate::http) for an example.
    pub fn get(&self, url: impl AsRef<str>) -> Result<Request, HttpError> {
        self.http("GET", url)
    }

    /// Prepares a request with any method. Methods are case-sensitive.
    ///
    /// A body is given when it is [sent](Request::send_with).
    pub fn http(&self, method: &str, url: impl AsRef<str>) -> Result<Request, HttpError> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| HttpError::Method(method.to_owned()))?;
        let input = url.as_ref();
        let url = Url::parse(input).map_err(|source| HttpError::Url {
            input: shown_input(input),
            source,
        })?;
        if !is_http(&url) {
            return Err(HttpError::Scheme(url.scheme().to_owned()));
        }
        Ok(Request {
            client: self.clone(),
            method,
            url,
            headers: Headers::new(),
            idle: Some(DEFAULT_IDLE_TIMEOUT),
            is_patient: false,
            identity: Identity::Shown,
            redirects: 0,
        })
    }
}

impl Request {
    /// The URL that is asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Adds a header. `Accept` and `User-Agent` take the place of those that are sent otherwise.
    ///
    /// User name and password of the URL are sent as `Authorization: Basic` unless the caller sets
    /// that header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HttpError> {
        if is_reserved(name) {
            return Err(HeaderError::Reserved(name.to_owned()).into());
        }
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// Sets how long [`Body::chunk`] waits; `None` is for ever, as an event stream needs it. Default
    /// [`DEFAULT_IDLE_TIMEOUT`].
    pub fn idle_timeout(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.idle = idle.into();
        self
    }

    /// Lets the server take as long as it wants for the head of its answer, once there is a connection: for
    /// requests that somebody else gives up. Otherwise the client's time limit for the handshake is that
    /// of the answer, too.
    pub fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }

    /// Does not show the [client's certificate](crate::transport::TlsConfigBuilder::client_certificate), though the server
    /// may ask for one: for requests without credentials.
    pub fn anonymous(mut self) -> Self {
        self.identity = Identity::Hidden;
        self
    }

    /// Sends it and follows redirects, up to [`MAX_REDIRECTS`](super::MAX_REDIRECTS). Each of them
    /// has the client's time limits to itself.
    ///
    /// Dropping the future gives the request up.
    pub async fn send(self) -> Result<Response, HttpError> {
        let mut request = self;
        loop {
            let response = request.send_once().await?;
            match request.redirected(&response)? {
                Some(next) => request = next,
                None => return Ok(response),
            }
        }
    }

    /// Sends it and follows no redirect. [`redirected`](Self::redirected) tells whether the response
    /// is one.
    ///
    /// ```no_run
    /// # async fn example(mut request: we_net::http::Request) -> Result<(), we_net::HttpError> {
    /// let response = loop {
    ///     let response = request.send_once().await?;
    ///     // Here each step can be checked, as CORS wants it.
    ///     match request.redirected(&response)? {
    ///         Some(next) => request = next,
    ///         None => break response,
    ///     }
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_once(&self) -> Result<Response, HttpError> {
        self.send_with(RequestBody::none()).await
    }

    /// The same with a body.
    pub async fn send_with(&self, body: RequestBody) -> Result<Response, HttpError> {
        let reach = &self.client.settings.reach;
        let host = authority(&self.url);
        tracing::debug!(
            target: "we::net", method = %self.method, url = %for_log(&self.url), "requesting"
        );
        // https://fetch.spec.whatwg.org/#block-bad-port
        if is_bad_port(port(&self.url)) {
            return Err(ConnectError::BadPort(port(&self.url)).into());
        }
        let request = self.head(&host, body)?;
        let found = reach.look_up(&self.url).await?;
        let socket = reach
            .dial(&self.url, found, self.client.settings.head_limits)
            .await?;
        let limit = reach.timeouts.handshake;
        let started = Instant::now();
        let late = |_| HttpError::HeadTimeout {
            host: host.clone(),
            after: limit,
        };
        let stream = reach.secure(&self.url, socket, self.identity);
        let stream = timeout(limit, stream).await.map_err(late)??;
        let answer = exchange(stream, request, self.client.settings.head_limits, &host);
        let answer = if self.is_patient {
            answer.await?
        } else {
            let left = limit.saturating_sub(started.elapsed());
            timeout(left, answer).await.map_err(late)??
        };
        tracing::debug!(target: "we::net", %host, status = answer.status, "answered");
        Ok(Response {
            status: answer.status,
            reason: answer.reason,
            url: self.url.clone(),
            redirected: self.redirects > 0,
            headers: answer.headers,
            body: Body::new(host, self.idle, answer.rest),
        })
    }

    /// The request for hyper.
    fn head(
        &self,
        host: &str,
        body: RequestBody,
    ) -> Result<hyper::Request<RequestBody>, HttpError> {
        let unsendable = |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Unsendable {
            host: host.to_owned(),
            source,
        };
        // The fragment is not sent.
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let target: hyper::Uri = target.parse().map_err(|e| unsendable(Box::new(e)))?;
        let mut lines = Headers::new();
        lines.append("Host", host)?;
        // The caller's headers come first, then the operator's, then ours.
        let has = |lines: &Headers, name: &str| {
            self.headers.values(name).next().is_some() || lines.values(name).next().is_some()
        };
        let ours = |name: &str| is_reserved(name) || has(&lines, name);
        for header in self.client.settings.headers.missing(&self.url, ours) {
            lines.append(header.name(), header.value())?;
        }
        for (name, value) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
            if !has(&lines, name) {
                lines.append(name, value)?;
            }
        }
        lines.append("Accept-Encoding", "identity")?;
        lines.append("Connection", "close")?;
        if let Some(credentials) = basic_authorization(&self.url)
            && !has(&lines, "Authorization")
        {
            lines.append("Authorization", credentials)?;
        }
        // https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch step 8
        let expects_body = self.method == Method::POST || self.method == Method::PUT;
        if let Some(length) = body.length() {
            lines.append("Content-Length", length.to_string())?;
        } else if body.is_none() && expects_body {
            lines.append("Content-Length", "0")?;
        }
        let mut request = hyper::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        for line in lines.iter().chain(self.headers.iter()) {
            let name = HeaderName::from_bytes(line.name().as_bytes())
                .map_err(|e| unsendable(Box::new(e)))?;
            let value =
                HeaderValue::from_bytes(line.value()).map_err(|e| unsendable(Box::new(e)))?;
            request
                .headers_mut()
                .try_append(name, value)
                .map_err(|e| unsendable(Box::new(e)))?;
        }
        Ok(request)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("url", &for_log(&self.url))
            .field("headers", &self.headers.names())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &for_log(&self.url))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// <https://fetch.spec.whatwg.org/#http-scheme>
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
