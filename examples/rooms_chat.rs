//! A chat in each room, in Rust: the counterpart of examples/rooms/chat.mjs.

use std::collections::HashMap;

use we_net::{Message, Server};
use we_rooms::{Client, ClientId, Context, Recipient, Rooms, Service, services};

#[derive(Default)]
struct Chat {
    names: HashMap<ClientId, String>,
}

impl Service for Chat {
    fn connect(&mut self, client: &Client, ctx: &mut Context<'_>) {
        let id = client.id();
        let name = format!("guest {id}");
        ctx.send(id, format!("welcome to {}, {name}", ctx.name()));
        ctx.send(Recipient::EveryoneExcept(id), format!("{name} has come"));
        self.names.insert(id, name);
    }

    fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>) {
        let (Some(text), Some(name)) = (data.as_text(), self.names.get_mut(&client)) else {
            return;
        };
        match text
            .strip_prefix("/name ")
            .filter(|wanted| !wanted.is_empty())
        {
            Some(wanted) => {
                ctx.send(Recipient::Everyone, format!("{name} is now {wanted}"));
                *name = wanted.to_owned();
            }
            None => {
                let others = Recipient::EveryoneExcept(client);
                ctx.send(others, format!("{name}: {text}"));
            }
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &mut Context<'_>) {
        if let Some(name) = self.names.remove(&client) {
            ctx.send(Recipient::Everyone, format!("{name} has left"));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let rooms = Rooms::builder(services(|_| Chat::default())).build();
    let server = Server::builder().bind(address).await?;
    println!("listening on {}", server.url());
    server.serve(rooms.handler()).await;
    Ok(())
}
