//! A server with rooms of a module, and clients that wait for nothing without end.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use we_net::client::{Client, Request};
use we_net::protocol::{Closure, Event};
use we_net::server::Acceptor;
use we_net::{Message, Server};
use we_rooms::wasm::{WasmLimits, WasmServices};
use we_rooms::{Rooms, RoomsBuilder};

/// How long anything may take. Far longer than it does, but on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn fixture(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("fixtures/wasm").join(name)
}

pub fn load(name: &str, limits: WasmLimits) -> WasmServices {
    WasmServices::load_file(fixture(name), limits).unwrap()
}

/// Limits that are soon reached.
pub fn narrow() -> WasmLimits {
    WasmLimits {
        max_memory: 16 << 20,
        max_busy: Duration::from_millis(300),
        ..WasmLimits::default()
    }
}

pub struct Site {
    url: String,
    pub rooms: Rooms,
    pub services: WasmServices,
    problems: mpsc::UnboundedReceiver<(String, String)>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub async fn new(services: WasmServices) -> Self {
        Self::with(services, |rooms| rooms).await
    }

    pub async fn with(
        services: WasmServices,
        set: impl FnOnce(RoomsBuilder) -> RoomsBuilder,
    ) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let services = {
            let lines = lines.clone();
            services.on_log(move |_, line| lines.lock().unwrap().push(line.into()))
        };
        let (tell, problems) = mpsc::unbounded_channel();
        let rooms = Rooms::builder(services.clone()).on_problem(move |room, failure| {
            let _ = tell.send((room.to_string(), failure.to_string()));
        });
        let rooms = set(rooms).build();
        let acceptor = Acceptor::builder().subprotocols(["chat"]).build();
        let server = Server::builder().acceptor(acceptor);
        let server = server.bind("127.0.0.1:0").await.unwrap();
        let url = server.url();
        tokio::spawn(server.serve(rooms.handler()));
        Self {
            url,
            rooms,
            services,
            problems,
            lines,
        }
    }

    pub async fn enter(&self, room: &str) -> Guest {
        self.enter_with(room, |request| request).await
    }

    pub async fn enter_with(&self, room: &str, set: impl FnOnce(Request) -> Request) -> Guest {
        let request = Client::default().request(&*format!("{}ws/{room}", self.url));
        Guest(within(set(request.unwrap()).connect()).await.unwrap())
    }

    /// Why the service of this room has failed.
    pub async fn problem(&mut self, of: &str) -> String {
        let (room, problem) = within(self.problems.recv()).await.unwrap();
        assert_eq!(room, of, "{problem}");
        problem
    }

    pub fn no_problem(&mut self) {
        if let Ok((room, problem)) = self.problems.try_recv() {
            panic!("{room}: {problem}");
        }
    }

    /// What has been logged since this was called.
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    /// Waits until there are so many instances.
    pub async fn instances(&self, count: usize) {
        within(async {
            while self.services.instances() != count {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

pub struct Guest(we_net::WebSocket);

impl Guest {
    pub async fn say(&mut self, message: impl Into<Message>) {
        within(self.0.send(message)).await.unwrap();
    }

    pub async fn hear(&mut self) -> Message {
        within(self.0.next()).await.unwrap().unwrap()
    }

    pub async fn hears(&mut self, text: &str) {
        assert_eq!(self.hear().await.as_text(), Some(text));
    }

    pub async fn ask(&mut self, message: impl Into<Message>) -> String {
        self.say(message).await;
        self.hear().await.as_text().unwrap().into()
    }

    /// Waits for the end, whatever comes before it.
    pub async fn closes(&mut self) -> (u16, String) {
        let end = async {
            loop {
                match self.0.next_event().await.unwrap() {
                    Event::Closed(Closure { code, reason, .. }) => return (code, reason),
                    _ => continue,
                }
            }
        };
        within(end).await
    }

    pub async fn leave(mut self) {
        within(self.0.close(None)).await;
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}
