//! Rooms: those whose services are in JavaScript, an instance of the application for each; and those in WebAssembly, in this process.
//!
//! Connections, queues and policies are [`we_rooms`]'s, in this process. The instance is told what happens and says what is to be
//! done ([`RoomEvent`], [`RoomCommand`]), on one link for all clients: what it sends to everyone leaves it once.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;
use we_js::serve::{ConnectionInfo, RoomCommand, RoomEvent, RoomRecipient};
use we_net::Message;
use we_net::protocol::{self, CloseCode, CloseFrame};
use we_net::socket::{WebSocketReceiver, WebSocketSender};
use we_rooms::cluster::{Cluster, ClusterOptions};
use we_rooms::wasm::{WasmError, WasmLimits, WasmServices};
use we_rooms::{
    Client, ClientId, Event, Failure, OnFailure, Recipient, Room, RoomName, RoomSender, Rooms,
    Runner, Running, SlowClients,
};

use super::bridge::{self, LinkEnd};
use super::instances::Instances;
use super::log;
use crate::cli::{self, Serve};

/// After so many deliveries to clients it is the turn of others.
const AT_A_TIME: usize = 1000;

/// Rooms as the operator wants them.
pub(super) fn rooms(runner: impl Runner, options: &Serve, cluster: Option<&Cluster>) -> Rooms {
    let file = options.file.display().to_string();
    let rooms = &options.room_options;
    let builder = match cluster {
        Some(cluster) => Rooms::builder(cluster.wrap(runner)),
        None => Rooms::builder(runner),
    };
    builder
        .max_rooms(rooms.max_rooms as usize)
        .grace(rooms.grace)
        .max_queue((rooms.max_queue_kb as usize) << 10)
        .slow_clients(match rooms.slow_clients {
            cli::SlowClients::Close => SlowClients::Close,
            cli::SlowClients::Skip => SlowClients::SkipMessages,
        })
        .on_failure(match rooms.on_failure {
            cli::OnFailure::Close => OnFailure::CloseClients,
            cli::OnFailure::Keep => OnFailure::KeepClients,
        })
        .on_problem(move |room, failure| {
            log::say(format!("we: {file}: room {}: {failure}", shown(room)));
        })
        .build()
}

/// The name of a room in the log: clients choose it, and it must not change how what is beside it looks.
fn shown(room: &RoomName) -> String {
    room.as_str().escape_debug().to_string()
}

/// The part that this server has in a cluster, if it is to have one. To be called in a runtime.
pub(super) fn cluster(options: &Serve) -> Result<Option<Cluster>, String> {
    let rooms = &options.room_options;
    let Some(url) = &rooms.cluster else {
        return Ok(None);
    };
    let cluster = ClusterOptions::default().prefix(&*rooms.cluster_prefix);
    match Cluster::connect(url, cluster) {
        Ok(cluster) => Ok(Some(cluster)),
        Err(error) => Err(format!("--cluster: {error}")),
    }
}

/// Rooms whose services are instances of a module of WebAssembly.
pub(super) fn of_module(options: &Serve, cluster: Option<&Cluster>) -> Result<Rooms, String> {
    let limits = WasmLimits {
        max_memory: usize::try_from(options.max_memory_mb << 20).unwrap_or(usize::MAX),
        max_busy: Duration::from_millis(options.max_busy_ms),
        ..WasmLimits::default()
    };
    let file = options.file.display().to_string();
    let services = WasmServices::load_file(&options.file, limits).map_err(|error| match error {
        error @ WasmError::Unreadable { .. } => error.to_string(),
        error => format!("{file}: {error}"),
    })?;
    let services = services.on_log(move |room, line| {
        log::say(format!("we: {file}: room {}: {line}", shown(room)));
    });
    Ok(rooms(services, options, cluster))
}

/// Runs the services of rooms as instances.
pub(super) struct RoomInstances {
    pub(super) instances: Arc<Instances>,
    pub(super) options: Arc<Serve>,
    /// The route that leads to rooms.
    pub(super) route: String,
}

impl Runner for RoomInstances {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(self.run_instance(room))
    }
}

impl RoomInstances {
    async fn run_instance(&self, room: &mut Room) -> Result<(), Failure> {
        let options = &self.options;
        let name = shown(room.name());
        let name = format!("we: {}: room {name}", options.file.display());
        let Some((mut instance, link)) = bridge::begin(&self.instances, options, &name).await
        else {
            return Err(Failure::temporary("no instance can be made"));
        };
        let info = ConnectionInfo {
            route: self.route.clone(),
            room: room.name().to_string(),
            ..ConnectionInfo::default()
        };
        let (mut to_instance, mut from_instance) = link.split();
        // If the instance has ended the other direction finds out.
        let _ = to_instance.feed(info.encode()).await;
        let sender = room.sender();
        let ended = tokio::select! {
            () = inward(room, &mut to_instance, options) => None,
            end = outward(&mut from_instance, &sender) => Some(end),
        };
        let Some(end) = ended else {
            // The room has ended.
            to_instance.close(CloseFrame::from(CloseCode::NORMAL)).await;
            let rest = async { while from_instance.next_event().await.is_some() {} };
            let _ = timeout(bridge::TO_END, rest).await;
            drop((to_instance, from_instance));
            bridge::conclude(&mut instance, LinkEnd::Closed, &name, options).await;
            return Ok(());
        };
        // It has no more to say, and is not waited for where it has gone wrong.
        drop((to_instance, from_instance));
        let ending = timeout(bridge::TO_END, instance.ended()).await;
        Err(match (ending, end) {
            (_, LinkEnd::Refused(problem)) => Failure::new(problem),
            // What has gone wrong has been told by the instance.
            (Ok(ending), _) if ending.is_own() => Failure::new(""),
            (Ok(ending), _) => Failure::new(ending.describe(options)),
            (Err(_), _) => Failure::new("the instance is stuck, and was ended"),
        })
    }
}

/// What happens, to the instance, until the room ends. A slow instance holds up the clients.
async fn inward(room: &mut Room, instance: &mut WebSocketSender<UnixStream>, options: &Serve) {
    loop {
        let next = match bridge::now(room.next()).await {
            Some(next) => next,
            None => {
                // All that has come together goes on together.
                instance.flush().await;
                room.next().await
            }
        };
        let event = match next {
            Some(Event::Connect(client)) => {
                RoomEvent::Connect(client.id().0, info(&client, options))
            }
            Some(Event::Message(client, message)) => RoomEvent::Message(client.0, message),
            Some(Event::Disconnect(client)) => RoomEvent::Disconnect(client.0),
            // There is no other.
            Some(_) => continue,
            None => return,
        };
        let _ = instance.feed(event.encode()).await;
    }
}

/// What the instance wants, to the clients, until the link is over. It is never held up.
async fn outward(instance: &mut WebSocketReceiver<UnixStream>, room: &RoomSender) -> LinkEnd {
    let refused =
        || LinkEnd::Refused("the instance was ended: it sent what means nothing".to_owned());
    let mut delivered = 0;
    loop {
        match instance.next_event().await {
            Some(protocol::Event::Message(message @ Message::Binary(_))) => {
                match RoomCommand::decode(message) {
                    Some(command) => delivered += apply(command, room),
                    None => return refused(),
                }
                if delivered >= AT_A_TIME {
                    delivered = 0;
                    tokio::task::yield_now().await;
                }
            }
            Some(protocol::Event::Message(Message::Text(_))) => return refused(),
            Some(protocol::Event::CloseReceived(_)) => return LinkEnd::Closed,
            Some(protocol::Event::Closed(closure)) => return LinkEnd::of(&closure),
            None => return LinkEnd::Closed,
            Some(protocol::Event::Ping(_) | protocol::Event::Pong(_)) => {}
        }
    }
}

/// Returns how many clients it went to.
fn apply(command: RoomCommand, room: &RoomSender) -> usize {
    match command {
        RoomCommand::Admit(client) => room.admit(ClientId(client)),
        RoomCommand::Close(client, frame) => room.close(ClientId(client), frame),
        RoomCommand::Send(recipient, message) => {
            let recipient = match recipient {
                RoomRecipient::Client(client) => Recipient::Client(ClientId(client)),
                RoomRecipient::Everyone => Recipient::Everyone,
                RoomRecipient::EveryoneExcept(client) => {
                    Recipient::EveryoneExcept(ClientId(client))
                }
            };
            return room.send(recipient, message);
        }
    }
    1
}

/// What the application learns of a client.
fn info(client: &Client, options: &Serve) -> ConnectionInfo {
    let negotiated = client.negotiated();
    let scheme = if options.listening.tls { "wss" } else { "ws" };
    ConnectionInfo {
        url: bridge::url(scheme, &negotiated.host, &negotiated.resource),
        protocol: negotiated.subprotocol.clone().unwrap_or_default(),
        extensions: negotiated.extensions.clone(),
        remote_address: bridge::address(negotiated.peer_addr),
        headers: bridge::fields(&negotiated.headers),
        ..ConnectionInfo::default()
    }
}
