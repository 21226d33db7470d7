//! A counter for each room, in Rust, shared by all who are in it: the counterpart of examples/rooms/counter.mjs.

use we_net::{Message, Server};
use we_rooms::{Client, ClientId, Context, Recipient, Rooms, Service, services};

#[derive(Default)]
struct Counter(i64);

impl Service for Counter {
    fn connect(&mut self, client: &Client, ctx: &mut Context<'_>) {
        ctx.send(client.id(), self.0.to_string());
    }

    fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>) {
        self.0 += match data.as_text() {
            Some("+") => 1,
            Some("-") => -1,
            _ => return ctx.send(client, "send + or -"),
        };
        ctx.send(Recipient::Everyone, self.0.to_string());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let rooms = Rooms::builder(services(|_| Counter::default())).build();
    let server = Server::builder().bind(address).await?;
    println!("listening on {}", server.url());
    server.serve(rooms.handler()).await;
    Ok(())
}
