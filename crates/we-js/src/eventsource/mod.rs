//! The `EventSource` interface: <https://html.spec.whatwg.org/multipage/server-sent-events.html>
//!
//! The interface as a script sees it is in this file, what happens between it and the network in [`connection`]. What a
//! stream says is told by [`we_net::http::EventStream`], and the request is made as those of `fetch()` are
//! ([`crate::fetch`]).
//!
//! A source that is not closed keeps the event loop running, by the job that follows its connection. It is kept alive
//! itself while it has a listener, whatever for; one that has none, and that no script can reach any more, is collected,
//! and its connection closed: <https://html.spec.whatwg.org/multipage/server-sent-events.html#garbage-collection>

mod connection;

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use boa_engine::{Context, JsArgs, JsData, JsResult, JsString, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};
use tokio::sync::Notify;
use url::Url;

use self::connection::Connection;
use crate::{
    binding::{Definition, Dictionary, Interface, NewTarget, This, from_utf8, usv_string},
    dom::{DomException, ErrorName, EventTarget, EventTargetObject, event_handler},
    event_loop::LoopState,
    fetch::EventStreamRequest,
};

/// The state of an `EventSource`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct EventSource {
    url: JsString,
    with_credentials: bool,
    #[unsafe_ignore_trace]
    life: Owned,
}

/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource-readystate>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadyState {
    Connecting = 0,
    Open = 1,
    Closed = 2,
}

/// What an `EventSource` shares with its connection.
struct Life {
    ready_state: Cell<ReadyState>,
    /// Tells the connection that it is of no use any more.
    closed: Notify,
    /// The object, while that is to be kept alive.
    kept: RefCell<Option<This<EventSource>>>,
}

/// Dropping it, when the object is collected, ends the connection.
struct Owned(Rc<Life>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Life {
    fn is_closed(&self) -> bool {
        self.ready_state.get() == ReadyState::Closed
    }

    /// Changes the state of a source, unless it is closed. Tells whether it was not.
    fn advance(&self, state: ReadyState) -> bool {
        let is_open = !self.is_closed();
        if is_open {
            self.ready_state.set(state);
        }
        is_open
    }

    fn close(&self) {
        self.ready_state.set(ReadyState::Closed);
        self.closed.notify_one();
        // It keeps nothing, as far as this is run for an object that is being collected.
        let kept = self.kept.take();
        drop(kept);
    }
}

/// To be called when the listeners of an event target have changed: a source that is listened to is kept alive.
pub(crate) fn listeners_changed(target: &JsObject) {
    let Some(source) = This::<EventSource>::from_object(target.clone()) else {
        return;
    };
    let life = source.state().life.0.clone();
    let has_listeners = This::<EventTarget>::from_object(target.clone())
        .is_some_and(|target| target.state().has_listeners());
    let kept = (has_listeners && !life.is_closed()).then_some(source);
    let before = life.kept.replace(kept);
    drop(before);
}

impl Interface for EventSource {
    const NAME: &'static str = "EventSource";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.constructor(1, construct);
        idl.readonly("url", |this, _| Ok(this.state().url.clone()));
        idl.readonly("withCredentials", |this, _| {
            Ok(this.state().with_credentials)
        });

        // ready state
        for (name, state) in [
            ("CONNECTING", ReadyState::Connecting),
            ("OPEN", ReadyState::Open),
            ("CLOSED", ReadyState::Closed),
        ] {
            idl.constant(name, state as i32);
        }
        idl.readonly("readyState", |this, _| {
            Ok(this.state().life.0.ready_state.get() as i32)
        });

        // networking
        event_handler::define(idl, "onopen");
        event_handler::define(idl, "onmessage");
        event_handler::define(idl, "onerror");
        idl.operation("close", 0, |this, _, _| {
            let life = this.state().life.0.clone();
            life.close();
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource>
fn construct(
    new_target: &NewTarget<EventSource>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let init = Dictionary::new(args.get_or_undefined(1))?;
    let with_credentials = init.boolean("withCredentials", false, context)?;
    let new_object = new_target.prepare(context)?;
    // 3., 4.
    let agent = LoopState::of(context)?;
    let url = match Url::options().base_url(agent.base_url()).parse(&url) {
        Ok(url) => url,
        Err(error) => {
            let message = format!("EventSource: '{url}' is not a valid URL: {error}");
            return Err(DomException::error(ErrorName::Syntax, &message, context));
        }
    };
    // 1., 2., 5., 7.
    let life = Rc::new(Life {
        ready_state: Cell::new(ReadyState::Connecting),
        closed: Notify::new(),
        kept: RefCell::new(None),
    });
    let source = EventSource {
        url: from_utf8(url.as_str()),
        with_credentials,
        life: Owned(life.clone()),
    };
    let object = new_object.create(EventTargetObject::new(source), context)?;
    // 6. to 15.
    let request = EventStreamRequest::new(url, with_credentials);
    Connection::new(&object, life, request, context)?.start(context);
    Ok(object)
}
