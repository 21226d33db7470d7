//! What one says the others hear, with the name of who has said it. `/name ada` gives oneself a name.

use std::collections::BTreeMap;

use we_guest::{ClientId, ClientInfo, Context, Message, Recipient, Service};

#[derive(Default)]
pub struct Chat {
    names: BTreeMap<ClientId, String>,
}

impl Service for Chat {
    fn connect(&mut self, client: ClientId, _info: &ClientInfo<'_>, ctx: &mut Context<'_>) {
        let name = format!("guest {}", client);
        ctx.send(client, &format!("welcome to {}, {}", ctx.name(), name));
        let others = Recipient::EveryoneExcept(client);
        ctx.send(others, &format!("{} has come", name));
        self.names.insert(client, name);
    }

    fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>) {
        let text = match data {
            Message::Text(text) => text,
            Message::Binary(_) => return,
        };
        let name = self.names.entry(client).or_default();
        match text.strip_prefix("/name ").filter(|new| !new.is_empty()) {
            Some(new) => {
                let old = std::mem::replace(name, new.into());
                ctx.send(Recipient::Everyone, &format!("{} is now {}", old, new));
            }
            None => {
                let others = Recipient::EveryoneExcept(client);
                ctx.send(others, &format!("{}: {}", name, text));
            }
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &mut Context<'_>) {
        let name = self.names.remove(&client).unwrap_or_default();
        ctx.send(Recipient::Everyone, &format!("{} has left", name));
    }
}

#[no_mangle]
pub extern "C" fn we_service() {
    we_guest::serve(Chat::default());
}
