//! What the constructors of `WebSocket` and `WebSocketStream` have in common.

use std::fmt::Display;

use boa_engine::{Context, JsError, JsResult};
use we_net::handshake::{WebSocketUrl, check_subprotocols};

use crate::{
    dom::{DomException, ErrorName},
    event_loop::LoopState,
    network::{Delivery, SocketHandle},
};

/// Where to connect to, and the subprotocols to ask for: both valid.
pub(super) struct Target {
    interface: &'static str,
    url: WebSocketUrl,
    protocols: Vec<String>,
}

impl Target {
    /// The steps 1 to 4 of <https://websockets.spec.whatwg.org/#dom-websocket-websocket>, for the constructor of
    /// `interface`.
    pub(super) fn new(
        interface: &'static str,
        url: &str,
        protocols: Vec<String>,
        context: &mut Context,
    ) -> JsResult<Self> {
        let event_loop = LoopState::of(context)?;
        // 1., 2. Get a URL record, given the API base URL.
        let url = WebSocketUrl::parse(url, event_loop.base_url())
            .map_err(|error| syntax_error(interface, &error, context))?;
        // 3., 4.
        check_subprotocols(&protocols).map_err(|error| syntax_error(interface, &error, context))?;
        Ok(Self {
            interface,
            url,
            protocols,
        })
    }

    pub(super) fn url(&self) -> &WebSocketUrl {
        &self.url
    }

    /// [Establish a WebSocket connection](https://websockets.spec.whatwg.org/#concept-websocket-establish): the handshake
    /// begins when the task has ended.
    pub(super) fn connect(
        self,
        delivery: Delivery,
        context: &mut Context,
    ) -> JsResult<SocketHandle> {
        let event_loop = LoopState::of(context)?;
        event_loop
            .network()
            .open(
                &self.url,
                self.protocols,
                delivery,
                &event_loop.options().client,
                event_loop.origin().as_ref(),
            )
            .map_err(|error| syntax_error(self.interface, &error, context))
    }
}

fn syntax_error(interface: &str, error: &dyn Display, context: &mut Context) -> JsError {
    DomException::error(ErrorName::Syntax, &format!("{interface}: {error}"), context)
}
