//! The status page of a server: a page at `/`, what it draws at `/status/events`, and `/status` for those who only want to know whether
//! the server is there.
//!
//! Paths that the application answers are the application's. The page is whole without any other server. It follows an event stream,
//! one event a second for each that looks; while nobody does, nothing is computed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`access`] | who may see it |
//! | [`report`] | what it is told |

mod access;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, timeout};
use we_net::Acceptor;
use we_net::http::{BodySender, Bytes};
use we_net::server::{HttpRequest, HttpResponse, ResponseBody};

use self::access::{Access, Verdict};
pub(crate) use self::report::{InstanceCount, Look, RoomLine};
use crate::{cli::Serve, listen};

/// How many may look at a time. Further ones are asked to try again later.
const MAX_VIEWERS: usize = 32;

/// How often those who look are told.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long one of them may take for an event, before its stream is broken off. Some thousand wait in the buffers of the system before.
const TO_TAKE: Duration = Duration::from_secs(10);

const EVENTS: &str = "/status/events";

/// What does not change: path, type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    (
        "/status/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    (
        "/status/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page.js"),
    ),
    (
        "/status/icon.svg",
        "image/svg+xml",
        include_str!("icon.svg"),
    ),
];

/// What every answer has beside its type: nothing is kept, nothing is guessed, nothing from elsewhere is loaded, nobody frames it or
/// loads it from another site.
const HEADERS: [(&str, &str); 5] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// The status of a server, for those who ask by HTTP.
pub(crate) struct Status {
    access: Access,
    /// Without one of its paths the page would not be whole, so then there is none.
    is_whole: bool,
    title: String,
    begun: Instant,
    /// When that was, in milliseconds of Unix time: tells one run of the server from the next.
    started: u64,
    acceptor: Acceptor,
    look: Box<dyn Fn() -> Look + Send + Sync>,
    viewers: Arc<Semaphore>,
}

impl Status {
    /// The status of a server whose WebSockets `acceptor` accepts, and that has been started now. `is_taken` says which paths are the
    /// application's; `look` is called once a second for each who looks.
    pub(crate) fn new(
        options: &Serve,
        acceptor: Acceptor,
        is_taken: impl Fn(&str) -> bool,
        look: impl Fn() -> Look + Send + Sync + 'static,
    ) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = started.unwrap_or_default().as_millis();
        let mut paths = FILES.iter().map(|file| file.0).chain([EVENTS]);
        let name = options.file.file_name().unwrap_or_default();
        Arc::new(Self {
            access: Access::new(options.status_page, &options.listening),
            is_whole: !paths.any(is_taken),
            title: name.to_string_lossy().into_owned(),
            begun: Instant::now(),
            started: started.try_into().unwrap_or(u64::MAX),
            acceptor,
            look: Box::new(look),
            viewers: Arc::new(Semaphore::new(MAX_VIEWERS)),
        })
    }

    /// Answers a request that is not for the application; `None` if it is not for the status either.
    pub(crate) fn answer(self: &Arc<Self>, request: &HttpRequest) -> Option<HttpResponse> {
        let path = request.target.split('?').next().unwrap_or_default();
        let file = FILES.iter().find(|file| file.0 == path);
        let is_health = path == "/status";
        if !is_health {
            if !self.is_whole || (file.is_none() && path != EVENTS) {
                return None;
            }
            match self.access.judge(request.peer_addr, &request.headers) {
                Verdict::Allowed => {}
                Verdict::Hidden => return None,
                Verdict::OtherHost => {
                    let text = "the status page is at localhost; see --status-page\n";
                    return Some(with_headers(HttpResponse::text(403, text)));
                }
            }
        }
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            let mut refusal = HttpResponse::text(405, "this is for looking only\n");
            add(&mut refusal, "Allow", "GET, HEAD");
            return Some(with_headers(refusal));
        }
        let response = match file {
            _ if is_health => HttpResponse::text(200, "ok\n"),
            Some((_, kind, content)) => {
                let mut response = HttpResponse::new(200);
                add(&mut response, "Content-Type", kind);
                // For HEAD the server leaves it out, and tells its length.
                response.body = Bytes::from_static(content.as_bytes()).into();
                response
            }
            None => self.events(request),
        };
        Some(with_headers(response))
    }

    fn events(self: &Arc<Self>, request: &HttpRequest) -> HttpResponse {
        // Another site's page could not read it, but would take a place.
        let site = request.headers.single("sec-fetch-site");
        if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
            return HttpResponse::text(403, "this is for the status page only\n");
        }
        let mut response = HttpResponse::new(200);
        add(&mut response, "Content-Type", "text/event-stream");
        if request.method == "HEAD" {
            return response;
        }
        let Ok(place) = self.viewers.clone().try_acquire_owned() else {
            let text = format!("{MAX_VIEWERS} are looking already; try again later\n");
            let mut refusal = HttpResponse::text(503, text);
            add(&mut refusal, "Retry-After", "5");
            return refusal;
        };
        let (sender, body) = ResponseBody::channel();
        response.body = body;
        tokio::spawn(self.clone().tell(sender, place));
        response
    }

    /// Tells one who looks, until he goes, or stops taking what he is told, or the server ends.
    async fn tell(self: Arc<Self>, sender: BodySender, _place: OwnedSemaphorePermit) {
        let telling = async {
            let mut clock = interval(INTERVAL);
            // Who was slow is not told of the past.
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut head = "retry: 1000\n";
            loop {
                clock.tick().await;
                let event = format!("{head}data: {}\n\n", self.report());
                head = "";
                if !matches!(timeout(TO_TAKE, sender.send(event.into())).await, Ok(true)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = telling => {}
            () = sender.closed() => {}
            // The server waits for answers to come to their end; this one would not.
            Ok(()) = listen::asked_to_end() => {
                let _ = timeout(TO_TAKE, sender.finish()).await;
            }
        }
    }

    fn report(&self) -> serde_json::Value {
        let uptime = self.begun.elapsed();
        let stats = self.acceptor.stats();
        report::report(&self.title, self.started, uptime, &stats, (self.look)())
    }
}

fn with_headers(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in HEADERS {
        add(&mut response, name, value);
    }
    response
}

fn add(response: &mut HttpResponse, name: &str, value: &str) {
    // All of them are tokens and values without control characters.
    let _ = response.headers.append(name, value);
}
