//! Machines and their clients: a server with rooms of its own in a runtime of its own, and connections to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;
use we_net::protocol::Closure;
use we_net::socket::WebSocketSender;
use we_net::{Message, Server};
use we_rooms::cluster::{Cluster, ClusterOptions};
use we_rooms::{ClientId, Context, Recipient, Rooms, RoomsBuilder, Runner, Service, services};

/// Whatever is waited for has happened by then, or never will.
pub const SOON: Duration = Duration::from_secs(30);

/// What happened on a machine.
pub type Log = Arc<watch::Sender<Vec<String>>>;

/// A service that does what messages say.
pub struct Talk {
    label: &'static str,
    log: Log,
    count: u64,
    names: Vec<(ClientId, String)>,
}

impl Talk {
    fn log(&self, entry: String) {
        self.log.send_modify(|log| log.push(entry));
    }
}

impl Service for Talk {
    fn init(&mut self, _: &mut Context<'_>) {
        self.log("init".to_owned());
    }

    fn connect(&mut self, client: &we_rooms::Client, ctx: &mut Context<'_>) {
        let resource = &client.negotiated().resource;
        let name = resource.split('?').nth(1).unwrap_or_default().to_owned();
        self.log(format!("connect {name}"));
        self.names.push((client.id(), name));
        ctx.send(client.id(), "welcome");
    }

    fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>) {
        let Some(text) = data.as_text() else {
            return ctx.send(Recipient::Everyone, data);
        };
        let (what, rest) = text.split_once(' ').unwrap_or((text, ""));
        match what {
            "all" => ctx.send(Recipient::Everyone, rest),
            "others" => ctx.send(Recipient::EveryoneExcept(client), rest),
            "me" => ctx.send(client, rest),
            "tag" => ctx.send(Recipient::Everyone, format!("{rest}|{}", self.label)),
            "count" => {
                self.count += 1;
                ctx.send(Recipient::Everyone, format!("count {}", self.count));
            }
            "burst" => {
                for number in 0..rest.parse().unwrap() {
                    ctx.send(Recipient::Everyone, format!("burst {number} {:>90}", ""));
                }
            }
            "slow" => std::thread::sleep(Duration::from_millis(rest.parse().unwrap())),
            "close" => {
                let code = we_net::protocol::CloseCode::new(4321).unwrap();
                ctx.send(client, "farewell");
                ctx.close(client, Some(code.into()));
            }
            _ => panic!("the test asks for it"),
        }
    }

    fn disconnect(&mut self, client: ClientId, _: &mut Context<'_>) {
        let at = self.names.iter().position(|(id, _)| *id == client).unwrap();
        let (_, name) = self.names.remove(at);
        self.log(format!("disconnect {name}"));
    }
}

pub struct Machine {
    pub url: String,
    pub rooms: Rooms,
    pub cluster: Cluster,
    pub log: Log,
    runtime: Option<Runtime>,
}

/// Short, so that tests are.
pub fn options() -> ClusterOptions {
    ClusterOptions::default().lease(Duration::from_secs(3))
}

impl Machine {
    pub async fn start(label: &'static str, broker: &str) -> Self {
        Self::with(label, broker, options(), |rooms| rooms).await
    }

    pub async fn with(
        label: &'static str,
        broker: &str,
        options: ClusterOptions,
        settings: impl FnOnce(RoomsBuilder) -> RoomsBuilder,
    ) -> Self {
        let log = Log::default();
        let of_rooms = log.clone();
        let services = services(move |_| Talk {
            label,
            log: of_rooms.clone(),
            count: 0,
            names: Vec::new(),
        });
        Self::running(services, broker, options, settings, log).await
    }

    /// One with services of another kind.
    pub async fn running(
        runner: impl Runner,
        broker: &str,
        options: ClusterOptions,
        settings: impl FnOnce(RoomsBuilder) -> RoomsBuilder,
        log: Log,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let cluster = Cluster::connect(broker, options).unwrap();
        drop(entered);
        let rooms = settings(Rooms::builder(cluster.wrap(runner))).build();
        let handler = rooms.handler();
        let server = runtime.spawn(async move {
            let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
            let url = server.url();
            tokio::spawn(server.serve(handler));
            url
        });
        let machine = Self {
            url: server.await.unwrap(),
            rooms,
            cluster,
            log,
            runtime: Some(runtime),
        };
        let cluster = &machine.cluster;
        until("the broker is connected to", || cluster.is_connected()).await;
        machine
    }

    /// Ends without a word to anybody.
    pub fn vanish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Waits until all of this is in the log, and returns how many entries there were.
    pub async fn logs(&self, expected: &[&str]) {
        let mut log = self.log.subscribe();
        let has_all = |log: &Vec<String>| expected.iter().all(|e| log.iter().any(|l| l == e));
        let waited = timeout(SOON, log.wait_for(has_all)).await.map(|_| ());
        assert!(waited.is_ok(), "{expected:?} in {:?}", self.log.borrow());
    }

    pub fn logged(&self, entry: &str) -> usize {
        self.log.borrow().iter().filter(|e| *e == entry).count()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(SOON, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

/// What a client has heard.
#[derive(Default)]
pub struct Heard {
    pub texts: Vec<String>,
    pub binary: Vec<usize>,
    pub closure: Option<Closure>,
}

pub struct Person {
    pub name: String,
    sender: WebSocketSender,
    heard: watch::Receiver<Heard>,
    /// Hears for it, and goes with it.
    _ear: Ear,
}

struct Ear(tokio::task::JoinHandle<()>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Person {
    /// Comes into a room, and is one of everyone.
    pub async fn come(machine: &Machine, room: &str, name: &str) -> Self {
        let person = Self::begin(machine, room, name).await;
        person.hears("welcome").await;
        person
    }

    pub async fn begin(machine: &Machine, room: &str, name: &str) -> Self {
        let url = format!("{}ws/{room}?{name}", machine.url);
        let (sender, mut receiver) = we_net::connect(&url).await.unwrap().split();
        let (tell, heard) = watch::channel(Heard::default());
        let ear = tokio::spawn(async move {
            while let Ok(Some(message)) = receiver.next().await {
                tell.send_modify(|heard| match message.as_text() {
                    Some(text) => heard.texts.push(text.to_owned()),
                    None => heard.binary.push(message.len()),
                });
            }
            tell.send_modify(|heard| heard.closure = receiver.closure());
            tell.closed().await;
        });
        Self {
            name: name.to_owned(),
            sender,
            heard,
            _ear: Ear(ear),
        }
    }

    pub async fn say(&mut self, message: impl Into<Message>) {
        self.sender.send(message).await.unwrap();
    }

    /// Waits until what has been heard is so.
    pub async fn waits(&self, what: &str, is_so: impl Fn(&Heard) -> bool) {
        let mut heard = self.heard.clone();
        let waited = timeout(SOON, heard.wait_for(|heard| is_so(heard))).await;
        assert!(
            matches!(waited, Ok(Ok(_))),
            "{} never: {what}; {:?}",
            self.name,
            self.tail()
        );
    }

    pub async fn hears(&self, text: &str) {
        self.waits(text, |heard| heard.texts.iter().any(|t| t == text))
            .await;
    }

    pub fn texts(&self) -> Vec<String> {
        self.heard.borrow().texts.clone()
    }

    pub fn is_connected(&self) -> bool {
        self.heard.borrow().closure.is_none()
    }

    fn tail(&self) -> Vec<String> {
        let heard = self.heard.borrow();
        let skipped = heard.texts.len().saturating_sub(10);
        heard.texts[skipped..].to_vec()
    }

    /// Says one numbered thing after the other, each when its own echo has come or will not: `NAME N`, behind `prefix`.
    /// Goes on until the sender of `stop` is dropped. Returns the person, and how much was said.
    pub async fn chatter(
        mut self,
        prefix: &'static str,
        mut stop: watch::Receiver<()>,
        said: Arc<Mutex<u64>>,
    ) -> Self {
        let mut heard = self.heard.clone();
        for number in 1.. {
            let text = format!("{} {number}", self.name);
            self.say(format!("{prefix}{text}")).await;
            *said.lock().unwrap() = number;
            let is_echo = |heard: &Heard| {
                let mut newest = heard.texts.iter().rev();
                newest.any(|t| t.split('|').next() == Some(&text))
            };
            tokio::select! {
                _ = timeout(Duration::from_millis(300), heard.wait_for(|heard| is_echo(heard))) => {}
                _ = stop.changed() => break,
            }
        }
        self
    }

    pub fn listener(&self) -> watch::Receiver<Heard> {
        self.heard.clone()
    }
}

/// Nothing was heard twice, but for greetings.
pub fn assert_no_twins(name: &str, texts: &[String]) {
    let mut seen = std::collections::HashSet::new();
    for text in texts.iter().filter(|text| *text != "welcome") {
        let text = text.split('|').next().unwrap();
        assert!(seen.insert(text.to_owned()), "{name} heard {text:?} twice");
    }
}
