//! The `WebSocketStream` interface: <https://github.com/whatwg/websockets/pull/48>, explained at
//! <https://github.com/ricea/websocketstream-explainer>
//!
//! What a script sees is here. Behind it is a [`Session`], to which the network's events come, and which is the source of
//! the readable stream ([`incoming`]) and the sink of the writable one ([`outgoing`]).
//!
//! Back-pressure goes through in both directions. A message that no reader has asked for counts as undelivered, and the
//! network stops reading from a connection with too many of those, so that the peer comes to a halt. And a write is done
//! when the network has taken the bytes, but for a few that may wait.

mod error;
mod incoming;
mod outgoing;
mod session;

#[cfg(test)]
mod tests;

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, object::JsObject,
};
use boa_gc::{Finalize, Trace};

pub(crate) use self::error::WebSocketError;
pub(super) use self::session::Session;

use self::error::CloseInfo;
use super::{Sockets, establish::Target, registry::Owner};
use crate::{
    abort::AbortSignal,
    binding::{
        Definition, Dictionary, Interface, NewTarget, PlatformObject, This, from_utf8, sequence,
        usv_string,
    },
    network::Delivery,
};

/// The state of a `WebSocketStream`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct WebSocketStream {
    url: JsString,
    session: Session,
}

impl PlatformObject for WebSocketStream {}

impl Interface for WebSocketStream {
    const NAME: &'static str = "WebSocketStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        idl.readonly("url", |this, _| Ok(this.state().url.clone()));
        idl.promise_attribute("opened", |this, context| {
            let session = this.state().session.clone();
            session.opened().object(context)
        });
        idl.promise_attribute("closed", |this, context| {
            let session = this.state().session.clone();
            session.closed().object(context)
        });
        idl.operation("close", 0, |this, args, context| {
            let value = args.get_or_undefined(0);
            let info = CloseInfo::from_value(value, "WebSocketStream.close", context)?;
            let session = this.state().session.clone();
            session.close(info.into_frame());
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// The dictionary `WebSocketStreamOptions`.
struct StreamOptions {
    protocols: Vec<String>,
    signal: Option<This<AbortSignal>>,
}

impl StreamOptions {
    fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let protocols = match dictionary.get("protocols", context)? {
            None => Vec::new(),
            Some(value) => {
                let convert = |value: JsValue, context: &mut Context| usv_string(&value, context);
                sequence(&value, context, convert)?.ok_or_else(|| {
                    JsNativeError::typ().with_message("'protocols' is not a sequence")
                })?
            }
        };
        let signal = match dictionary.get("signal", context)? {
            None => None,
            Some(value) => Some(This::<AbortSignal>::from_value(&value).ok_or_else(|| {
                JsNativeError::typ().with_message("'signal' is not an AbortSignal")
            })?),
        };
        Ok(Self { protocols, signal })
    }
}

/// `constructor(USVString url, optional WebSocketStreamOptions options = {})`
fn construct(
    new_target: &NewTarget<WebSocketStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let options = StreamOptions::from_value(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    let target = Target::new(WebSocketStream::NAME, &url, options.protocols, context)?;
    let session = Session::new();
    let stream = WebSocketStream {
        url: from_utf8(target.url().as_str()),
        session: session.clone(),
    };
    let object = new_object.create(stream, context)?;
    if let Some(signal) = options.signal {
        if signal.state().is_aborted() {
            let reason = AbortSignal::reason_of(&signal);
            session.give_up(&reason, context)?;
            return Ok(object);
        }
        session.observe(&signal);
    }
    let connection = target.connect(Delivery::Pulled, context)?;
    Sockets::of(context).insert(connection.id(), Owner::Stream(session.clone()));
    session.connect(connection);
    Ok(object)
}
