//! [`Outbox`]: what waits for the broker. The order in which it was put in is the order in which others have it. It is bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lease;
use super::record::{NodeId, Record};
use super::takings::Takings;
use super::wire;

/// So much is handed to the broker at a time, if there is as much. Its answer is waited for before there is more.
const BATCH: usize = 1 << 20;

/// Records to the same place go in packets of so many bytes, if they are shorter.
const PACKET: usize = 256 << 10;

/// What a record costs beside its bytes.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
    pub(crate) bytes: usize,
    /// There is a session. Otherwise nothing is put in.
    pub(crate) is_open: bool,
    /// Something is on its way.
    pub(crate) is_sending: bool,
}

pub(crate) enum Item {
    Publish {
        channel: Arc<str>,
        record: Vec<u8>,
    },
    /// What it says is known when it is sent.
    Taken(Arc<Takings>),
    /// A lease is let go of, if it still is this one.
    Release {
        key: Arc<str>,
        value: String,
    },
    /// Not interested any more, if `is_over` says so still.
    Unsubscribe {
        channel: Arc<str>,
        is_over: Box<dyn Fn() -> bool + Send>,
    },
}

impl Item {
    pub(crate) fn publish(channel: &Arc<str>, record: &Record) -> Self {
        Self::Publish {
            channel: channel.clone(),
            record: wire::encode(record),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Publish { record, .. } => record.len() + OVERHEAD,
            Self::Taken(_) | Self::Release { .. } | Self::Unsubscribe { .. } => 0,
        }
    }
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts in an item, unless there would be more than `limit` bytes of several. Returns whether it is in.
    pub(crate) fn put(&mut self, item: Item, limit: usize) -> bool {
        let bytes = item.bytes();
        let fits = self.bytes == 0 || self.bytes.saturating_add(bytes) <= limit;
        if !self.is_open || !fits {
            return false;
        }
        self.bytes += bytes;
        self.items.push_back(item);
        true
    }

    pub(crate) fn put_first(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_front(item);
    }

    /// Takes out what is to be sent next, and the channels to leave behind that.
    pub(crate) fn next_batch(&mut self, node: NodeId) -> (redis::Pipeline, Vec<Arc<str>>) {
        let mut pipeline = redis::pipe();
        let mut unsubscribe = Vec::new();
        let mut packet: Option<(Arc<str>, Vec<u8>)> = None;
        let mut total = 0;
        while total < BATCH && unsubscribe.is_empty() {
            let Some(item) = self.items.pop_front() else {
                break;
            };
            let bytes = item.bytes();
            self.bytes -= bytes;
            total += bytes;
            let (channel, record) = match item {
                Item::Publish { channel, record } => (channel, record),
                Item::Taken(takings) => takings.record(),
                Item::Release { key, value } => {
                    publish(&mut pipeline, packet.take());
                    lease::release(&mut pipeline, &key, &value);
                    continue;
                }
                Item::Unsubscribe { channel, is_over } => {
                    if is_over() {
                        unsubscribe.push(channel);
                    }
                    continue;
                }
            };
            match &mut packet {
                Some((last, packet))
                    if *last == channel && packet.len() + record.len() <= PACKET =>
                {
                    packet.extend_from_slice(&record);
                }
                _ => {
                    publish(&mut pipeline, packet.take());
                    let mut bytes = wire::begin_packet(node);
                    bytes.extend_from_slice(&record);
                    packet = Some((channel, bytes));
                }
            }
        }
        publish(&mut pipeline, packet);
        self.is_sending = !pipeline.is_empty() || !unsubscribe.is_empty();
        (pipeline, unsubscribe)
    }
}

fn publish(pipeline: &mut redis::Pipeline, packet: Option<(Arc<str>, Vec<u8>)>) {
    if let Some((channel, packet)) = packet {
        let command = pipeline.cmd("PUBLISH").arg(&*channel).arg(packet);
        command.ignore();
    }
}
