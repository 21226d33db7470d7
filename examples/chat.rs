//! A chat in one process: the server is Rust (`we-net`), the guests are JavaScript (`we-js`, chat.js beside this file).
//!
//!     cargo run --example chat
//!
//! It needs no network but this machine's own.

use std::error::Error;

use tokio::sync::broadcast;
use we_js::{
    EventLoop, Options,
    boa_engine::{JsString, Source, object::builtins::JsArray, property::Attribute},
};
use we_net::{Acceptor, Server, WebSocket, protocol::Message};

/// The room: what one guest says, all hear.
type Room = broadcast::Sender<String>;

fn main() -> Result<(), Box<dyn Error>> {
    // The server has threads of its own.
    let runtime = tokio::runtime::Runtime::new()?;
    let acceptor = Acceptor::builder().subprotocols(["chat"]).build();
    let server = runtime.block_on(Server::builder().acceptor(acceptor).bind("127.0.0.1:0"))?;
    let url = server.url();
    let room = Room::new(64);
    runtime.spawn(server.serve(move |socket| guest(socket, room.clone())));

    // The guests share this thread, a context and an event loop.
    let event_loop = EventLoop::new(Options::default())?;
    let mut context = event_loop.context_builder().build()?;
    event_loop.install(&mut context)?;
    let arguments = JsArray::from_iter([JsString::from(url).into()], &mut context);
    context.register_global_property(JsString::from("scriptArgs"), arguments, Attribute::all())?;
    context.eval(Source::from_bytes(include_str!("chat.js")))?;
    event_loop.run(&mut context)?;
    Ok(())
}

/// Serves one guest until it leaves.
async fn guest(mut socket: WebSocket, room: Room) {
    let name = socket
        .negotiated()
        .resource
        .split_once('?')
        .map(|(_, name)| name.to_owned())
        .unwrap_or_default();
    let mut others = room.subscribe();
    // No one listens yet when the first guest comes; that is no failure.
    let _ = room.send(format!(r#"{{"present":{}}}"#, room.receiver_count()));
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Ok(Some(Message::Text(text))) => {
                    let line = format!(r#"{{"from":"{name}","text":"{}"}}"#, text.replace(['"', '\\'], "'"));
                    let _ = room.send(line);
                }
                Ok(Some(Message::Binary(_))) => {}
                Ok(None) | Err(_) => return,
            },
            heard = others.recv() => match heard {
                Ok(line) => if socket.send(line).await.is_err() { return },
                // A guest who does not keep up misses lines; the room does not wait.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}
