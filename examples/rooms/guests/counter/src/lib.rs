//! A number that all of a room share: who comes is told it, `+` and `-` change it, and everyone is told what it is then.

use we_guest::{ClientId, ClientInfo, Context, Message, Recipient, Service};

#[derive(Default)]
pub struct Counter {
    number: i64,
}

impl Service for Counter {
    fn connect(&mut self, client: ClientId, _info: &ClientInfo<'_>, ctx: &mut Context<'_>) {
        ctx.send(client, &self.number.to_string());
    }

    fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>) {
        match data.as_text() {
            Some("+") => self.number += 1,
            Some("-") => self.number -= 1,
            _ => return ctx.send(client, "send + or -"),
        }
        ctx.send(Recipient::Everyone, &self.number.to_string());
    }
}

#[no_mangle]
pub extern "C" fn we_service() {
    we_guest::serve(Counter::default());
}
