//! The DOM's events: <https://dom.spec.whatwg.org/#events>, with the events that other standards add.
//!
//! Two trees of interfaces live here. Every event is an [`EventObject`]: the [`Event`] that all share and
//! the detail of one kind. Every target is an [`EventTargetObject`]: the listeners that all share and the
//! state of one kind; other modules add kinds (`WebSocket`, `AbortSignal`).

pub(crate) mod dispatch;
pub(crate) mod event;
pub(crate) mod event_handler;
pub(crate) mod event_target;
pub(crate) mod events;
pub(crate) mod exception;
pub(crate) mod global_scope;
pub(crate) mod message_event;
pub(crate) mod progress_event;
pub(crate) mod report;

pub(crate) use event::{Event, EventDetail, EventInit, EventObject};
pub(crate) use event_target::{EventTarget, EventTargetObject};
pub(crate) use exception::{DomException, ErrorName};
pub(crate) use progress_event::ProgressEvent;
