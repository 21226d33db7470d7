//! Requests for event streams, as `EventSource` makes them:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface>

use std::rc::Rc;

use url::Url;
use we_net::http::Bytes;

use super::{
    enums::{CacheMode, Credentials},
    fetching::{Asker, Fetching, NetworkError, ReceivedBody, Upload},
    request::Head,
};
use crate::event_loop::LoopState;

/// The type of an event stream: <https://html.spec.whatwg.org/multipage/iana.html#text/event-stream>
const EVENT_STREAM: &str = "text/event-stream";

/// So many bytes of a `data:` or `blob:` URL are taken at a time.
const PIECE: u64 = 64 * 1024;

/// The request of an `EventSource`, which may be sent many times.
pub(crate) struct EventStreamRequest(Head);

/// The answer to it.
pub(crate) struct EventStreamResponse {
    /// The URL that has answered, which is another one than was asked for if there were redirects.
    pub(crate) url: Url,
    status: u16,
    content_type: Option<Vec<u8>>,
    is_event_stream: bool,
    body: ReceivedBody,
}

impl EventStreamRequest {
    /// The steps 6 to 13 of
    /// <https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource>.
    pub(crate) fn new(url: Url, with_credentials: bool) -> Self {
        // 8. https://html.spec.whatwg.org/multipage/urls-and-fetching.html#create-a-potential-cors-request
        let mut head = Head::new(url);
        if with_credentials {
            head.credentials = Credentials::Include;
        }
        // So `Last-Event-ID` asks for no preflight request, though it is not safelisted.
        head.is_unsafe = false;
        // 10.
        head.headers.borrow_mut().append("Accept", EVENT_STREAM);
        // 11.
        head.cache = CacheMode::NoStore;
        Self(head)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0.url
    }

    /// Sends the request. An id that is not empty goes along as
    /// [`Last-Event-ID`](https://html.spec.whatwg.org/multipage/server-sent-events.html#last-event-id).
    ///
    /// Uses the sockets and timers of the tokio runtime that polls it.
    pub(crate) async fn fetch(
        &self,
        last_event_id: &str,
        agent: Rc<LoopState>,
    ) -> Result<EventStreamResponse, NetworkError> {
        let head = self.0.copy();
        if !last_event_id.is_empty() {
            let mut headers = head.headers.borrow_mut();
            headers.set("Last-Event-ID", last_event_id.into());
        }
        let fetching = Fetching::new(head, Upload::None, Asker::of(agent));
        let received = fetching.run().await?;
        let headers = received.head.headers.borrow();
        let is_event_stream = headers
            .mime_type()
            .is_some_and(|mime| mime.matches("text", "event-stream"));
        Ok(EventStreamResponse {
            url: received.head.url.unwrap_or_else(|| self.0.url.clone()),
            status: received.head.status,
            content_type: headers.get("content-type"),
            is_event_stream,
            body: received.body,
        })
    }
}

impl EventStreamResponse {
    /// Why this is no event stream, if it is none.
    pub(crate) fn objection(&self) -> Option<String> {
        if self.status != 200 {
            return Some(format!(
                "the server answered with status {}; to send events it must answer with 200",
                self.status
            ));
        }
        if self.is_event_stream {
            return None;
        }
        let content_type = self.content_type.as_deref().unwrap_or_default();
        Some(format!(
            "the server answered with the Content-Type {:?}; to send events it must say {EVENT_STREAM}",
            String::from_utf8_lossy(content_type)
        ))
    }

    /// Waits for the next piece of the body; `None` at the end. Dropping the future loses nothing.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, NetworkError> {
        match &mut self.body {
            ReceivedBody::None => Ok(None),
            ReceivedBody::Network(remote) => Ok(remote.body.chunk().await?),
            ReceivedBody::Data(data) => {
                let piece = data.slice(0..PIECE);
                *data = data.slice(PIECE..u64::MAX);
                let bytes = piece.to_vec(PIECE).map_err(|_| NetworkError::Memory)?;
                Ok((!bytes.is_empty()).then(|| bytes.into()))
            }
        }
    }
}
