//! Scripts from servers: <https://fetch.spec.whatwg.org/#http-fetch>

use url::{Origin, Url};
use we_net::http::Response;

use super::{Destination, FetchError, Fetched, Fetcher, MAX_SCRIPT, decode};

impl Fetcher {
    /// Requests a script, and decides anew at each redirect what the asker may see of it.
    pub(super) async fn http(
        &self,
        url: &Url,
        destination: Destination,
    ) -> Result<Fetched, FetchError> {
        let failed = |source| FetchError::Http {
            url: url.clone(),
            source: Box::new(source),
        };
        let mut request = self.client.get(url.as_str()).map_err(failed)?;
        // Whether the response's type is to be "basic": once a request has left its origin, it stays foreign.
        // https://fetch.spec.whatwg.org/#concept-main-fetch
        let mut is_cross_origin = false;
        // https://fetch.spec.whatwg.org/#concept-request-tainted-origin: a foreign origin has redirected to another one.
        let mut is_tainted = false;
        let response = loop {
            let here = request.url().origin();
            if let Some(asker) = self.foreigner_to(&here) {
                // The mode "same-origin" of https://fetch.spec.whatwg.org/#concept-request-mode
                if destination.is_worker() {
                    return Err(FetchError::Foreign(request.url().clone()));
                }
                if destination.needs_cors() && !is_cross_origin {
                    let name = asker.ascii_serialization();
                    request = request.header("Origin", name).map_err(failed)?;
                }
                is_cross_origin = true;
            }
            let response = request.send_once().await.map_err(failed)?;
            if let Some(asker) = &self.origin
                && is_cross_origin
                && destination.needs_cors()
                && !shares_with(&response, asker, is_tainted)
            {
                return Err(FetchError::NotShared(response.url));
            }
            match request.redirected(&response).map_err(failed)? {
                Some(next) => {
                    // The client says `Origin: null` from here on.
                    let leaves = next.url().origin() != here;
                    is_tainted |= leaves && self.foreigner_to(&here).is_some();
                    request = next;
                }
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
        Ok(Fetched {
            url: response.url,
            text: decode(&bytes),
            is_cross_origin,
        })
    }
}

/// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check), without credentials.
fn shares_with(response: &Response, origin: &Origin, is_tainted: bool) -> bool {
    let mut allowed = response.headers.values("access-control-allow-origin");
    let (Some(allowed), None) = (allowed.next(), allowed.next()) else {
        return false;
    };
    if allowed == b"*" {
        return true;
    }
    match is_tainted {
        true => allowed == b"null",
        false => allowed == origin.ascii_serialization().as_bytes(),
    }
}
