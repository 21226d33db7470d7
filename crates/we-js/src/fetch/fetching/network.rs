//! What is sent, and what it takes: slots for connections, bytes of requests with `keepalive`.

use std::{cell::Cell, pin::pin, rc::Rc};

use tokio::time::timeout;
use url::{Origin, Url};
use we_net::http::{Body as NetBody, Bytes, RequestBody, Response as NetResponse};

use super::{Fetching, NetworkError, Tainting, Upload, without_credentials};
use crate::{
    event_loop::COLLECTION_INTERVAL,
    fetch::{
        enums::{CacheMode, Credentials, Mode},
        header_list::HeaderList,
        referrer::Referrer,
        slots::Slot,
    },
};

/// A body on its way, and what its fetch holds until it has come.
pub(in crate::fetch) struct Remote {
    pub(in crate::fetch) body: NetBody,
    pub(super) _slot: Slot,
    pub(super) _keepalive: Option<Keepalive>,
}

/// The bytes of a request with `keepalive` that is [under way][spec].
///
/// [spec]: https://fetch.spec.whatwg.org/#request-keepalive-flag
pub(super) struct Keepalive {
    total: Rc<Cell<u64>>,
    own: u64,
}

impl Drop for Keepalive {
    fn drop(&mut self) {
        self.total.set(self.total.get().saturating_sub(self.own));
    }
}

/// How many bytes the requests with `keepalive` may have together.
const MAX_KEEPALIVE: u64 = 64 * 1024;

/// What a server gets to know of who asks, beside what the script says: the certificate of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Credentials,
    Nothing,
}

impl Fetching {
    /// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch)
    pub(super) async fn network_fetch(
        &mut self,
        url: &Url,
    ) -> Result<(NetResponse, Slot), NetworkError> {
        self.require_keepalive_room()?;
        let mut headers = self.request.headers.borrow().clone();
        let with_credentials = match self.request.credentials {
            Credentials::Include => true,
            Credentials::SameOrigin => self.tainting == Tainting::Basic,
            Credentials::Omit => false,
        };
        self.append_origin(&mut headers, url);
        append_cache_headers(&mut headers, self.request.cache);
        if self.request.cache == CacheMode::OnlyIfCached {
            return Err(NetworkError::NoCache);
        }
        let body = match &mut self.upload {
            Upload::None => RequestBody::none(),
            Upload::Data(data) => {
                let bytes = data
                    .to_vec(self.asker.limit)
                    .map_err(|error| NetworkError::Upload(error.to_string()))?;
                Bytes::from(bytes).into()
            }
            Upload::Stream(body) => body.take().ok_or(NetworkError::RedirectStream)?,
        };
        let mut url = url.clone();
        if !with_credentials {
            without_credentials(&mut url);
        }
        let credentials = if with_credentials {
            Shown::Credentials
        } else {
            Shown::Nothing
        };
        self.send(&self.request.method, url, &headers, body, credentials)
            .await
    }

    /// Requests that may outlive their page are small, as
    /// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch) says of the bytes
    /// in flight.
    fn require_keepalive_room(&mut self) -> Result<(), NetworkError> {
        let Upload::Data(data) = &self.upload else {
            return Ok(());
        };
        // What is sent a second time counts once.
        if !self.request.keepalive || self.keepalive.is_some() {
            return Ok(());
        }
        let total = self.asker.agent.keepalive_bytes();
        let own = data.len();
        if total.get().saturating_add(own) > MAX_KEEPALIVE {
            return Err(NetworkError::Keepalive);
        }
        total.set(total.get() + own);
        let total = total.clone();
        self.keepalive = Some(Keepalive { total, own });
        Ok(())
    }

    /// [Append a request `Origin` header](https://fetch.spec.whatwg.org/#append-a-request-origin-header)
    fn append_origin(&self, headers: &mut HeaderList, url: &Url) {
        let Some(serialized) = self.serialized_origin() else {
            return;
        };
        if self.tainting == Tainting::Cors {
            headers.append("Origin", serialized);
        } else if !matches!(&*self.request.method, "GET" | "HEAD")
            && let Some(origin) = &self.asker.origin
        {
            let tells = self.request.mode == Mode::Cors || self.ask(url).tells_origin(origin);
            headers.append("Origin", if tells { serialized } else { "null".to_owned() });
        }
    }

    /// Waits for a slot. Responses that nobody wants any more give theirs back when they are collected.
    async fn slot(&self, origin: Origin) -> Slot {
        let agent = &self.asker.agent;
        let mut taking = pin!(agent.mailbox().cluster().slots().take(origin));
        loop {
            match timeout(COLLECTION_INTERVAL, &mut taking).await {
                Ok(slot) => return slot,
                Err(_) => agent.collect_now_and_then(),
            }
        }
    }

    /// Sends one request.
    pub(super) async fn send(
        &self,
        method: &str,
        url: Url,
        headers: &HeaderList,
        body: RequestBody,
        shown: Shown,
    ) -> Result<(NetResponse, Slot), NetworkError> {
        let slot = self.slot(url.origin()).await;
        let mut request = self.asker.client.http(method, url.as_str())?;
        request = request.patient().idle_timeout(None);
        if shown == Shown::Nothing {
            request = request.anonymous();
        }
        if let Referrer::Url(referrer) = &self.request.referrer {
            request = request.header("Referer", referrer.as_str())?;
        }
        if !headers.contains("Accept-Language") {
            request = request.header("Accept-Language", "*")?;
        }
        for (name, value) in headers.iter() {
            request = request.header(name, value)?;
        }
        Ok((request.send_with(body).await?, slot))
    }
}

/// The steps 13 to 16 of <https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch>: what caches on the way are
/// told.
fn append_cache_headers(headers: &mut HeaderList, mut mode: CacheMode) {
    let conditions = [
        "Modified-Since",
        "None-Match",
        "Unmodified-Since",
        "Match",
        "Range",
    ];
    let is_conditional = conditions
        .iter()
        .any(|condition| headers.contains(&format!("If-{condition}")));
    if mode == CacheMode::Default && is_conditional {
        mode = CacheMode::NoStore;
    }
    if mode == CacheMode::NoCache && !headers.contains("Cache-Control") {
        headers.append("Cache-Control", "max-age=0");
    }
    if matches!(mode, CacheMode::NoStore | CacheMode::Reload) {
        for name in ["Pragma", "Cache-Control"] {
            if !headers.contains(name) {
                headers.append(name, "no-cache");
            }
        }
    }
}
