//! What one says one hears oneself.

use we_guest::{ClientId, Context, Message, Service};

pub struct Echo;

impl Service for Echo {
    fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>) {
        ctx.send(client, data);
    }
}

#[no_mangle]
pub extern "C" fn we_service() {
    we_guest::serve(Echo);
}
