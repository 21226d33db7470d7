//! Web messaging: <https://html.spec.whatwg.org/multipage/web-messaging.html>
//!
//! A channel has two ends. A [`PortEnd`] is one of them, without JavaScript: it goes from thread to thread and queues
//! what it is sent. An agent gives it to an object: to a [`MessagePort`] of its own, or to some other event target whose
//! port is implicit ([`ImplicitPort`]), as those of workers are. [`Ports`] are all that an agent has, and know what keeps
//! each of them alive. None keeps an event loop running: who can post a message is active, and as long as anybody in a
//! program is active, all its loops are there (`event_loop::cluster`).
//!
//! | file | what it holds |
//! |---|---|
//! | `end` | the channel, its two queues and its lock |
//! | `ports` | an agent's ports; what keeps their objects alive |
//! | `message_port`, `message_channel` | the interfaces |
//! | `broadcasts`, `broadcast_channel` | who listens to what in this process; the interface |
//! | `post`, `delivery` | the two halves of the message port post message steps |
//! | `implicit` | ports of other objects, for Rust |
//!
//! # From Rust
//!
//! ```text
//! let (outside, inside) = PortEnd::pair();       // both are Send
//!
//! // On the thread of each agent:
//! let port = ImplicitPort::adopt(outside, &worker_object, behavior, context)?;
//! port.start();
//! post_message(Some(&port.sender()), args, context)?;    // the IDL's overloads, with transfer; queued until the other
//!                                                        // end is started
//! port.close();                                  // as does dropping it, or the agent's end
//! ```
//!
//! An end that is dropped without having been adopted, or in a message that nobody gets, closes its channel.
//!
//! # Bounds
//!
//! As the standard has it, nothing holds back a script that posts faster than the other agent takes: the queue grows. A
//! message costs its data and some hundred bytes. Two ports that lie in one another's queues, and that nobody can ever
//! receive any more, are not found out before their process ends.

mod broadcast_channel;
mod broadcasts;
mod delivery;
mod end;
mod implicit;
mod message_channel;
mod message_port;
mod ports;
mod post;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use boa_engine::object::JsObject;

pub(crate) use self::{
    broadcast_channel::BroadcastChannel,
    broadcasts::Broadcasts,
    delivery::deliver,
    end::PortEnd,
    implicit::{Behavior, ImplicitPort, post_message},
    message_channel::MessageChannel,
    message_port::{MessagePort, PortListener},
    ports::Ports,
};

/// To be called when the listeners of an event target have changed: a port or channel that is listened to lives longer.
pub(crate) fn listeners_changed(target: &JsObject) {
    message_port::listeners_changed(target);
    broadcast_channel::listeners_changed(target);
}

/// What an agent is told of its ports and channels.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is a message in its queue.
    Message(end::PortId),
    /// The other end has been closed.
    Closed(end::PortId),
    /// A message for a broadcast channel.
    Broadcast(broadcasts::ChannelId, Arc<broadcasts::Broadcast>),
}
