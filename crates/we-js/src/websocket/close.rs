//! Closing by a script: <https://websockets.spec.whatwg.org/#close-the-websocket>

use std::cell::{Cell, RefCell};

use boa_engine::{Context, JsResult};
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

use super::ReadyState;
use crate::{
    dom::{DomException, ErrorName},
    network::SocketHandle,
};

/// The longest close reason, in bytes of UTF-8: what a control frame has room for after the code.
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.5>
const MAX_REASON: usize = 123;

/// [Validate close code and reason](https://websockets.spec.whatwg.org/#validate-close-code-and-reason), for the errors
/// of `member`.
pub(super) fn validate(
    member: &str,
    code: Option<u16>,
    reason: &str,
    context: &mut Context,
) -> JsResult<()> {
    // 1.
    if let Some(code) = code
        && code != 1000
        && !(3000..=4999).contains(&code)
    {
        let message =
            format!("{member}: the code must be 1000 or between 3000 and 4999, not {code}");
        return Err(DomException::error(
            ErrorName::InvalidAccess,
            &message,
            context,
        ));
    }
    // 2.
    if reason.len() > MAX_REASON {
        let message = format!(
            "{member}: the reason takes {} bytes in UTF-8, at most {MAX_REASON} are allowed",
            reason.len()
        );
        return Err(DomException::error(ErrorName::Syntax, &message, context));
    }
    Ok(())
}

/// The Close frame of a code and a reason that are valid.
///
/// A code that was validated is a close code, and a reason of at most 123 bytes a close reason. A reason cannot stand in
/// a Close frame without a code: `WebSocket.close(undefined, reason)` sends an empty one, as browsers do.
pub(super) fn frame(code: Option<u16>, reason: String) -> Option<CloseFrame> {
    let code = CloseCode::try_from(code?).ok()?;
    let reason = CloseReason::new(reason).ok()?;
    Some(CloseFrame { code, reason })
}

/// [Close the WebSocket](https://websockets.spec.whatwg.org/#close-the-websocket)
pub(super) fn start(
    ready_state: &Cell<ReadyState>,
    connection: &RefCell<Option<SocketHandle>>,
    frame: Option<CloseFrame>,
) {
    let connection = connection.borrow();
    let Some(connection) = &*connection else {
        return;
    };
    match ready_state.get() {
        // Do nothing.
        ReadyState::Closing | ReadyState::Closed => {}
        // Fail the connection: what follows comes from the event loop. To a script the connection is established when it
        // is told so, and one that has been accepted by the server and not been announced yet fails as well.
        ReadyState::Connecting => {
            connection.fail();
            ready_state.set(ReadyState::Closing);
        }
        // Start the closing handshake; messages that were sent before go out first.
        ReadyState::Open => {
            connection.close(frame);
            ready_state.set(ReadyState::Closing);
        }
    }
}
