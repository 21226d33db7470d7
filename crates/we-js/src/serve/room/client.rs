//! `RoomClient`: somebody in a room.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use boa_engine::{Context, JsArgs, JsData, JsResult, JsString, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::context::{Link, send};
use super::wire::{RoomCommand, RoomRecipient};
use crate::{
    binding::{Definition, Interface, PlatformObject, This, create, from_utf8},
    fetch::headers_object,
    serve::{ConnectionInfo, socket::close_frame},
};

/// The state of a `RoomClient`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct RoomClient {
    #[unsafe_ignore_trace]
    id: u64,
    url: JsString,
    protocol: JsString,
    remote_address: JsString,
    headers: JsObject,
    /// The link to the server, while the client is there.
    #[unsafe_ignore_trace]
    link: RefCell<Weak<Link>>,
}

impl RoomClient {
    pub(super) fn object(
        id: u64,
        info: &ConnectionInfo,
        link: Option<Rc<Link>>,
        context: &mut Context,
    ) -> JsResult<This<Self>> {
        let headers = headers_object(&info.headers, context)?;
        let client = Self {
            id,
            url: from_utf8(&info.url),
            protocol: from_utf8(&info.protocol),
            remote_address: from_utf8(&info.remote_address),
            headers,
            link: RefCell::new(link.as_ref().map(Rc::downgrade).unwrap_or_default()),
        };
        create::<Self>(client, context)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The client has gone.
    pub(super) fn gone(&self) {
        self.link.replace(Weak::new());
    }
}

impl PlatformObject for RoomClient {}

impl Interface for RoomClient {
    const NAME: &'static str = "RoomClient";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("id", |this, _| Ok(this.state().id as f64));
        idl.readonly("url", |this, _| Ok(this.state().url.clone()));
        idl.readonly("protocol", |this, _| Ok(this.state().protocol.clone()));
        idl.readonly("remoteAddress", |this, _| {
            Ok(this.state().remote_address.clone())
        });
        idl.readonly("headers", |this, _| Ok(this.state().headers.clone()));
        idl.operation("send", 1, |this, args, context| {
            let client = this.state();
            let recipient = RoomRecipient::Client(client.id);
            let link = client.link.borrow().upgrade();
            send(
                link.as_deref(),
                recipient,
                args.get_or_undefined(0),
                context,
            )
        });
        idl.operation("close", 0, close);
        Ok(())
    }
}

/// `close(optional unsigned short code, optional USVString reason)`
fn close(this: &This<RoomClient>, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let frame = close_frame("RoomClient.close", args, context)?;
    let client = this.state();
    if let Some(link) = client.link.borrow().upgrade() {
        link.tell(&RoomCommand::Close(client.id, frame), context)?;
    }
    Ok(JsValue::undefined())
}
