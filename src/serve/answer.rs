//! Between a client's request and the instance that answers it.
//!
//! The body of an answer is carried as fast as the client takes it. A client that goes has the link to the instance dropped,
//! which aborts the request there.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use we_js::serve::{ConnectionInfo, ResponseHead};
use we_net::handshake::Headers;
use we_net::http::Bytes;
use we_net::protocol::{CloseCode, Event, Message};
use we_net::server::{HttpRequest, HttpResponse, RequestBodyError, ResponseBody};
use we_net::socket::{WebSocketReceiver, WebSocketSender};

use super::Served;
use super::bridge::{self, LinkEnd};
use super::instances::Tally;
use super::routes::Kind;
use super::status::Status;
use crate::cli::Serve;

/// How long the body of a request may be, and how long it may take.
const MAX_BODY: usize = 1 << 20;
const FOR_BODY: Duration = Duration::from_secs(30);

/// Answers one request.
pub(crate) async fn answer(
    mut request: HttpRequest,
    served: Arc<Served>,
    status: Arc<Status>,
) -> HttpResponse {
    let found = served.routes.find(&request.target);
    let (route, instances) = match (found, &served.instances) {
        (Some((Kind::Http, route)), Some(instances)) => (route.to_owned(), instances.clone()),
        _ => {
            let is_websocket = found.is_some();
            return without_application(&request, &served, &status, is_websocket).await;
        }
    };
    instances.tally().request();
    let body = match timeout(FOR_BODY, request.collect(MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error @ RequestBodyError::TooLong { .. })) => {
            return HttpResponse::text(413, format!("{error}\n"));
        }
        Ok(Err(error)) => return HttpResponse::text(400, format!("{error}\n")),
        Err(_) => return HttpResponse::text(408, "the body of the request did not come in time\n"),
    };
    let options = served.options.clone();
    let info = describe(&request, route, body, &options);
    let name = bridge::log_name(&options, &info.remote_address);
    let (tell, told) = oneshot::channel();
    // A task of its own, which goes on when the client has gone: the instance is given time to end.
    tokio::spawn(async move {
        let Some((mut instance, link)) = bridge::begin(&instances, &options, &name).await else {
            let _ = tell.send(HttpResponse::text(503, "try again later\n"));
            return;
        };
        let (mut sender, receiver) = link.split();
        let _ = sender.send(info.encode()).await;
        let end = carry(sender, receiver, tell, instances.tally()).await;
        bridge::conclude(&mut instance, end, &name, &options).await;
    });
    told.await.unwrap_or_else(|_| failed())
}

/// The answer to a request for which the application has no function.
async fn without_application(
    request: &HttpRequest,
    served: &Served,
    status: &Arc<Status>,
    is_websocket: bool,
) -> HttpResponse {
    if let Some(files) = &served.files {
        let HttpRequest {
            method,
            target,
            headers,
            ..
        } = request;
        if let Some(response) = files.answer(method, target, headers).await {
            return response;
        }
    }
    if let Some(response) = status.answer(request) {
        return response;
    }
    if !is_websocket {
        return HttpResponse::text(404, "there is nothing at this path\n");
    }
    let mut response = HttpResponse::text(426, "this path is a WebSocket's\n");
    // A token and a plain value.
    let _ = response.headers.append("Upgrade", "websocket");
    response
}

fn failed() -> HttpResponse {
    HttpResponse::text(500, "the handler failed\n")
}

/// Carries the answer until it is complete, the client has gone, or the instance has. When this returns the link has
/// ended, or is dropped.
async fn carry(
    mut sender: WebSocketSender<UnixStream>,
    mut receiver: WebSocketReceiver<UnixStream>,
    mut tell: oneshot::Sender<HttpResponse>,
    tally: &Tally,
) -> LinkEnd {
    let head = loop {
        let event = tokio::select! {
            biased;
            event = receiver.next_event() => event,
            () = tell.closed() => return LinkEnd::Closed,
        };
        match event {
            Some(Event::Message(Message::Binary(bytes))) => break ResponseHead::decode(&bytes),
            Some(Event::Ping(_) | Event::Pong(_)) => {}
            // Not what an instance sends.
            Some(Event::Message(Message::Text(_))) => break None,
            Some(Event::CloseReceived(_)) => {
                tally.failure();
                let _ = tell.send(failed());
                return LinkEnd::Closed;
            }
            Some(Event::Closed(closure)) => {
                let _ = tell.send(failed());
                return LinkEnd::of(&closure);
            }
            None => return LinkEnd::Closed,
        }
    };
    let Some(mut response) = head.and_then(response) else {
        tally.failure();
        let _ = tell.send(failed());
        return LinkEnd::Closed;
    };
    let (body, content) = ResponseBody::channel();
    response.body = content;
    if tell.send(response).is_err() {
        return LinkEnd::Closed;
    }
    loop {
        let event = tokio::select! {
            biased;
            event = receiver.next_event() => event,
            () = body.closed() => return LinkEnd::Closed,
        };
        match event {
            Some(Event::Message(message)) => {
                if !body.send(Bytes::copy_from_slice(message.as_bytes())).await {
                    return LinkEnd::Closed;
                }
            }
            Some(Event::CloseReceived(Some(frame))) if frame.code == CloseCode::NORMAL => {
                body.finish().await;
                // The instance waits for the answer to its Close frame.
                sender.flush().await;
                return LinkEnd::Closed;
            }
            // Dropping the body before its end shows the client that there is no more.
            Some(Event::CloseReceived(_)) => {
                tally.failure();
                return LinkEnd::Closed;
            }
            Some(Event::Closed(closure)) => return LinkEnd::of(&closure),
            None => return LinkEnd::Closed,
            Some(Event::Ping(_) | Event::Pong(_)) => {}
        }
    }
}

fn response(head: ResponseHead) -> Option<HttpResponse> {
    let mut headers = Headers::new();
    for (name, value) in head.headers {
        // The length is that of the body, whatever the application says.
        let is_framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
        ]
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing));
        if !is_framing {
            headers.append(name, value).ok()?;
        }
    }
    (200..=599).contains(&head.status).then(|| HttpResponse {
        headers,
        ..HttpResponse::new(head.status)
    })
}

fn describe(
    request: &HttpRequest,
    route: String,
    body: Vec<u8>,
    options: &Serve,
) -> ConnectionInfo {
    let scheme = if options.listening.tls {
        "https"
    } else {
        "http"
    };
    let host = request.headers.single("host").unwrap_or(b"localhost");
    let host = String::from_utf8_lossy(host);
    ConnectionInfo {
        route,
        method: request.method.clone(),
        url: bridge::url(scheme, &host, &request.target),
        remote_address: bridge::address(request.peer_addr),
        body,
        headers: bridge::fields(&request.headers),
        ..ConnectionInfo::default()
    }
}
