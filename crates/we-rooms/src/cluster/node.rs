//! [`Node`]: a server's part in a cluster: its link to the broker, the rooms that it shares, and which other nodes are alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo, ProtocolVersion};
use tokio::time::{Instant, timeout};

use super::ClusterOptions;
use super::link::Link;
use super::place::Place;
use super::record::{NodeId, Record};
use super::wire;
use crate::name::RoomName;

/// More nodes than this are not remembered: whoever can reach the broker can make them up.
const MAX_PEERS: usize = 10_000;

/// How long leaving may take.
const TO_LEAVE: Duration = Duration::from_secs(1);

pub(crate) struct Node {
    pub(crate) link: Link,
    places: Mutex<HashMap<RoomName, Arc<Place>>>,
    /// When others have been heard.
    peers: Mutex<HashMap<NodeId, Instant>>,
}

impl Node {
    pub(crate) fn new(url: &str, options: ClusterOptions) -> Result<Self, String> {
        let info = url.into_connection_info().map_err(|e| e.to_string())?;
        if let ConnectionAddr::TcpTls { .. } = info.addr() {
            return Err("it asks for TLS, which there is not".to_owned());
        }
        // With it one connection is enough for both: messages come beside answers.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let client = redis::Client::open(info).map_err(|e| e.to_string())?;
        Ok(Self {
            link: Link::new(NodeId(rand::random()), client, options),
            places: Mutex::default(),
            peers: Mutex::default(),
        })
    }

    /// Whether a node has been heard lately.
    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        let silence = self.link.options.silence();
        let heard = self.peers().get(&node).copied();
        heard.is_some_and(|heard| heard.elapsed() < silence)
    }

    pub(crate) fn enter(&self, place: Arc<Place>) {
        self.places().insert(place.name().clone(), place);
    }

    pub(crate) fn place(&self, name: &RoomName) -> Option<Arc<Place>> {
        self.places().get(name).cloned()
    }

    pub(crate) fn forget(&self, place: &Place) {
        let mut places = self.places();
        let is_it = |other: &Arc<Place>| std::ptr::eq(&raw const **other, place);
        if places.get(place.name()).is_some_and(is_it) {
            places.remove(place.name());
        }
    }

    /// A packet has come.
    fn receive(&self, packet: Vec<u8>) {
        let read = wire::decode(packet, |from, record| {
            if from == self.link.node {
                return self.link.hear();
            }
            match record {
                Record::Beat => self.hear(from),
                Record::Bye => {
                    self.peers().remove(&from);
                    let places: Vec<_> = self.places().values().cloned().collect();
                    places.iter().for_each(|place| place.look_again());
                }
                Record::Room { room, epoch, what } => {
                    if let Some(place) = self.place(&room) {
                        self.hear(from);
                        place.receive(from, epoch, what);
                    }
                }
            }
        });
        if let Err(error) = read {
            tracing::debug!(target: "we::cluster", "ignored: {error}");
        }
    }

    fn hear(&self, node: NodeId) {
        let now = Instant::now();
        let mut peers = self.peers();
        if peers.len() >= MAX_PEERS && !peers.contains_key(&node) {
            let silence = self.link.options.silence();
            peers.retain(|_, heard| now.duration_since(*heard) < silence);
            if peers.len() >= MAX_PEERS {
                return;
            }
        }
        peers.insert(node, now);
    }

    pub(crate) async fn leave(&self) {
        let places: Vec<_> = self.places().values().cloned().collect();
        for place in places {
            place.let_go();
        }
        self.link.say_bye();
        // What could not be said is found out by silence.
        let _ = timeout(TO_LEAVE, self.link.flushed()).await;
    }

    fn places(&self) -> MutexGuard<'_, HashMap<RoomName, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<NodeId, Instant>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the link of a node.
pub(crate) async fn run(node: Arc<Node>) {
    let receiver = Arc::downgrade(&node);
    let receive = move |packet| {
        if let Some(node) = receiver.upgrade() {
            node.receive(packet);
        }
    };
    node.link.run(Arc::new(receive)).await;
}
