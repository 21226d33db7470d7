//! An echo server in Rust, with a handler for each connection: the counterpart of examples/serve/echo.mjs.

use we_net::Message;
use we_net::server::{Connection, Handler, Server, handlers};

struct Echo;

impl Handler for Echo {
    fn message(&mut self, connection: &Connection, message: Message) {
        // An error means that the connection is closing: there is nobody to tell.
        let _ = connection.send(message);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let server = Server::builder().bind(address).await?;
    println!("listening on {}", server.url());
    server.serve(handlers(|_| Echo)).await;
    Ok(())
}
