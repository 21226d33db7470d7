//! [`Client`]: who is in a room, and its connection as a task.

use std::pin::pin;
use std::sync::Arc;

use we_net::WebSocket;
use we_net::protocol::{CloseFrame, Event};
use we_net::socket::{Negotiated, WebSocketReceiver, WebSocketSender};

use crate::queue::{Next, Queue};
use crate::service::ClientId;
use crate::shared::Seat;

/// What each piece of what is known of a client takes beside its bytes.
const OVERHEAD: usize = 64;

/// Somebody in a room. Cloned by pointer.
#[derive(Clone, Debug)]
pub struct Client {
    id: ClientId,
    negotiated: Arc<Negotiated>,
}

impl Client {
    pub(crate) fn new(id: ClientId, negotiated: Arc<Negotiated>) -> Self {
        Self { id, negotiated }
    }

    /// About how many bytes it takes to know of a client.
    pub(crate) fn cost(negotiated: &Negotiated) -> usize {
        let headers = negotiated.headers.iter();
        let headers = headers.map(|field| field.name().len() + field.value().len() + OVERHEAD);
        OVERHEAD + negotiated.resource.len() + negotiated.host.len() + headers.sum::<usize>()
    }

    /// Its name in the room.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// What it has asked for and what was agreed on: path, headers, subprotocol, address.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }
}

/// Carries messages both ways until the connection is over. The seat is left when one of them has no more to say to the other.
pub(crate) async fn serve(socket: WebSocket, seat: Seat) {
    let (mut sender, mut receiver) = socket.split();
    let frame = {
        // A client that does not take what waits for it is not waited for.
        let given_up = pin!(seat.queue().given_up());
        tokio::select! {
            biased;
            frame = outward(seat.queue(), &mut sender) => Some(frame),
            () = inward(&mut receiver, &seat) => None,
            frame = given_up => Some(frame),
        }
    };
    drop(seat);
    if let Some(frame) = frame {
        sender.close(frame).await;
    }
    // The protocol's time limits see to its end.
    while receiver.next_event().await.is_some() {}
}

/// From the client to the service, until the client has closed or is gone. A service that is slow holds up its clients.
async fn inward(receiver: &mut WebSocketReceiver, seat: &Seat) {
    while let Some(event) = receiver.next_event().await {
        match event {
            Event::Message(message) => seat.say(message).await,
            Event::CloseReceived(_) => return,
            _ => {}
        }
    }
}

/// From the service to the client, until there is nothing more to come. A slow client holds up its own queue.
async fn outward(queue: &Queue, sender: &mut WebSocketSender) -> Option<CloseFrame> {
    loop {
        let next = match queue.try_next() {
            Some(next) => next,
            None => {
                // All that has come together goes out together.
                sender.flush().await;
                queue.next().await
            }
        };
        match next {
            Next::Send(message) => {
                // If the connection is closing the other direction finds out.
                let _ = sender.feed(message).await;
            }
            Next::Close(frame) => return frame,
        }
    }
}
