//! A room without a host, for tests of services that run where the compiler does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::service::{ClientId, ClientInfo, Context, Host, Message, Recipient, Service};

/// A message that a client has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// UTF-8 text.
    Text(String),
    /// Arbitrary bytes.
    Binary(Vec<u8>),
    /// Its connection was closed with this code and reason. It hears nothing more.
    Closed(Option<u16>, String),
}

impl From<Message<'_>> for Heard {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(bytes) => Self::Binary(bytes.into()),
        }
    }
}

impl From<&str> for Heard {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A room with a service, whose clients are the test's.
#[derive(Debug)]
pub struct Room<S> {
    service: S,
    last_id: u64,
    host: Record,
}

#[derive(Debug)]
struct Record {
    name: String,
    clients: BTreeMap<ClientId, Client>,
    timer: Option<Duration>,
    log: Vec<String>,
}

#[derive(Debug, Default)]
struct Client {
    heard: Vec<Heard>,
    is_closed: bool,
}

impl<S: Service> Room<S> {
    /// A room that has just begun.
    pub fn new(name: &str, service: S) -> Self {
        let host = Record {
            name: name.into(),
            clients: BTreeMap::new(),
            timer: None,
            log: Vec::new(),
        };
        let mut room = Self {
            service,
            last_id: 0,
            host,
        };
        room.call(|service, ctx| service.init(ctx));
        room
    }

    /// A client comes. Clients are called 1, 2 and so on.
    pub fn enter(&mut self) -> ClientId {
        self.enter_with(&ClientInfo::new(b"/ws\n\n\n"))
    }

    /// A client comes that has asked for this.
    pub fn enter_with(&mut self, info: &ClientInfo<'_>) -> ClientId {
        self.last_id += 1;
        let client = ClientId(self.last_id);
        self.host.clients.insert(client, Client::default());
        self.call(|service, ctx| service.connect(client, info, ctx));
        client
    }

    /// A client sends a message.
    pub fn say<'m>(&mut self, client: ClientId, message: impl Into<Message<'m>>) {
        let message = message.into();
        self.call(|service, ctx| service.message(client, message, ctx));
    }

    /// A client goes.
    pub fn leave(&mut self, client: ClientId) {
        self.host.clients.remove(&client);
        self.call(|service, ctx| service.disconnect(client, ctx));
    }

    /// What a client has heard since it came or was last asked.
    pub fn heard(&mut self, client: ClientId) -> Vec<Heard> {
        let client = self.host.clients.get_mut(&client);
        client
            .map(|client| std::mem::take(&mut client.heard))
            .unwrap_or_default()
    }

    /// After which time the timer runs out, if it is set.
    pub fn timer(&self) -> Option<Duration> {
        self.host.timer
    }

    /// The timer runs out, if it is set. Returns whether it was.
    pub fn run_out(&mut self) -> bool {
        let was_set = self.host.timer.take().is_some();
        if was_set {
            self.call(|service, ctx| service.timer(ctx));
        }
        was_set
    }

    /// The lines that the service has written to the log.
    pub fn log(&self) -> &[String] {
        &self.host.log
    }

    fn call(&mut self, function: impl FnOnce(&mut S, &mut Context<'_>)) {
        function(&mut self.service, &mut Context::new(&mut self.host));
    }
}

impl Record {
    fn tell(&mut self, client: ClientId, what: Heard) {
        if let Some(client) = self.clients.get_mut(&client) {
            if !client.is_closed {
                client.is_closed = matches!(what, Heard::Closed(..));
                client.heard.push(what);
            }
        }
    }
}

impl Host for Record {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn send(&mut self, recipient: Recipient, data: Message<'_>) {
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            let is_meant = match recipient {
                Recipient::Client(one) => one == client,
                Recipient::Everyone => true,
                Recipient::EveryoneExcept(one) => one != client,
            };
            if is_meant {
                self.tell(client, data.into());
            }
        }
    }

    fn close(&mut self, client: ClientId, code: Option<u16>, reason: &str) {
        self.tell(client, Heard::Closed(code, reason.into()));
    }

    fn set_timer(&mut self, after: Option<Duration>) {
        self.timer = after;
    }

    fn log(&mut self, line: &str) {
        self.log.push(line.into());
    }
}
