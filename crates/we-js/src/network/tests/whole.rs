//! The whole way, with `we_net`'s own client and server: URL, opening handshake, messages, closing handshake.

use std::sync::mpsc;
use std::thread;

use we_net::Client;
use we_net::handshake::WebSocketUrl;
use we_net::server::{Server, echo};

use super::{Delivery, SocketEvent, describe};
use crate::event_loop::Options;
use crate::event_loop::tests::Bench;
use crate::network::channel::Channel;
use crate::network::socket_task;

/// Runs an echo server on a thread of its own, which ends with the process, and returns its URL.
fn serve() -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
            tell.send(server.url()).unwrap();
            server.serve(echo).await;
        });
    });
    told.recv().unwrap()
}

/// Opens a socket, sends one message, closes when it is back, and returns what happened.
fn talk(url: &str, subprotocols: &[&str], options: Options) -> Vec<String> {
    let mut bench = Bench::with_options(options.clone());
    let url = WebSocketUrl::parse(url, None).unwrap();
    let subprotocols = subprotocols.iter().map(|name| (*name).to_owned());
    let network_state = bench.state();
    let socket = network_state
        .network()
        .open(
            &url,
            subprotocols,
            Delivery::Pushed,
            &options.client,
            options.origin.as_ref(),
        )
        .unwrap();
    let log = bench.log.clone();
    bench.on_socket_event(move |_, event, _| {
        log.push(describe(&event));
        match event {
            SocketEvent::Open { .. } => socket.send("hello".into()),
            SocketEvent::Message(_) => socket.close(None),
            SocketEvent::Closed(closed) => {
                if let Some(error) = closed.error {
                    log.push(error.to_string());
                }
            }
            SocketEvent::Flushed | SocketEvent::Closing => {}
        }
    });
    bench.log_of("")
}

fn with_origin(url: &str) -> Options {
    Options {
        origin: Some(url::Url::parse(url).unwrap().origin()),
        ..Options::default()
    }
}

#[test]
fn a_message_goes_to_a_server_and_back() {
    let url = serve();
    let page = url.replace("ws://", "http://");
    for options in [Options::default(), with_origin(&page)] {
        assert_eq!(
            talk(&url, &[], options),
            ["open ", "text hello", "closing", "closed cleanly 1005 \"\""]
        );
    }
}

#[test]
fn a_server_sees_the_origin() {
    // It lets in pages of its own host only.
    let log = talk(&serve(), &[], with_origin("https://example.com/page"));
    assert_eq!(log[0], "closed badly 1006 \"\"");
    assert!(log[1].contains("403"), "{log:?}");
}

#[test]
fn a_handshake_that_fails_is_explained_to_the_operator() {
    // The server speaks no subprotocol, so the client that asks for one gives up.
    let log = talk(&serve(), &["chat"], Options::default());
    assert_eq!(log[0], "closed badly 1006 \"\"");
    assert!(log[1].contains("127.0.0.1"), "{log:?}");
    assert_eq!(log.len(), 2);
}

#[test]
fn a_name_without_address_is_explained_to_the_operator() {
    let log = talk("ws://name.invalid/", &[], Options::default());
    assert_eq!(log[0], "closed badly 1006 \"\"");
    assert!(log[1].contains("name.invalid"), "{log:?}");
}

/// Ten thousand idle sockets are ten thousand of these, and each is moved a few times when it is made.
#[test]
fn the_task_of_a_socket_is_small() {
    let bench = Bench::new();
    let state = bench.state();
    let shared = state.network().shared().clone();
    let request = Client::default().request("wss://h.example/").unwrap();
    let task = socket_task::run(request, Channel::new(Delivery::Pushed), shared);
    let size = size_of_val(&task);
    assert!(size < 4096, "{size} bytes");
}
