//! URLs of all schemes: <https://fetch.spec.whatwg.org/#scheme-fetch>

use std::{cell::RefCell, rc::Rc};

use data_url::{DataUrl, mime::Mime};
use url::Url;

use super::{Fetching, Hop, NetworkError, Received, ReceivedBody};
use crate::{
    fetch::{
        header_list::{HeaderList, parse_range},
        response,
        scripts::read_file,
    },
    file::BlobData,
};

impl Fetching {
    /// [Scheme fetch](https://fetch.spec.whatwg.org/#scheme-fetch)
    pub(super) async fn scheme_fetch(&mut self, url: Url) -> Result<Hop, NetworkError> {
        match url.scheme() {
            "http" | "https" => self.http_fetch(url).await,
            "blob" => self.blob(url).map(Hop::Response),
            "data" => {
                let data = DataUrl::process(url.as_str()).map_err(|_| NetworkError::Data)?;
                let (bytes, _) = data.decode_to_vec().map_err(|_| NetworkError::Data)?;
                let kind = data.mime_type().to_string();
                let bytes = aligned_vec::AVec::from_slice(0, &bytes).into();
                Ok(Hop::Response(local(
                    url,
                    200,
                    "OK",
                    &[("Content-Type", kind)],
                    bytes,
                )))
            }
            "file" if self.asker.reads_files && self.request.method == "GET" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| NetworkError::File("it names no local file".to_owned()))?;
                let bytes = read_file(path)
                    .await
                    .map_err(|error| NetworkError::File(error.to_string()))?;
                let bytes = aligned_vec::AVec::from_slice(0, &bytes).into();
                Ok(Hop::Response(local(url, 200, "OK", &[], bytes)))
            }
            scheme => Err(NetworkError::Scheme(scheme.to_owned())),
        }
    }

    /// The case "blob".
    fn blob(&self, url: Url) -> Result<Received, NetworkError> {
        let blob = match (&self.request.blob, &*self.request.method) {
            (Some(entry), "GET") => &entry.blob,
            _ => return Err(NetworkError::Blob),
        };
        let size = blob.data.len();
        let is_type = blob.kind.parse::<Mime>().is_ok();
        let kind = if is_type {
            blob.kind.clone()
        } else {
            String::new()
        };
        let kind = ("Content-Type", kind);
        let Some(range) = self.request.headers.borrow().get("range") else {
            let headers = [("Content-Length", size.to_string()), kind];
            return Ok(local(url, 200, "OK", &headers, blob.data.clone()));
        };
        let (start, end) = match parse_range(&range).ok_or(NetworkError::Range)? {
            (Some(start), last) if start < size => (
                start,
                last.map_or(size, |last| last.saturating_add(1).min(size)),
            ),
            (None, Some(suffix)) => (size.saturating_sub(suffix), size),
            _ => return Err(NetworkError::Range),
        };
        let data = blob.data.slice(start..end);
        let range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
        let length = ("Content-Length", data.len().to_string());
        let headers = [length, kind, ("Content-Range", range)];
        Ok(local(url, 206, "Partial Content", &headers, data))
    }
}

/// A response that needs no network.
fn local(
    url: Url,
    status: u16,
    reason: &str,
    headers: &[(&str, String)],
    data: BlobData,
) -> Received {
    let mut list = HeaderList::default();
    for (name, value) in headers {
        list.append(name, value.as_str());
    }
    let head = response::Head {
        url: Some(url),
        status,
        status_text: reason.into(),
        headers: Rc::new(RefCell::new(list)),
        ..response::Head::default()
    };
    let body = ReceivedBody::Data(data);
    Received { head, body }
}
