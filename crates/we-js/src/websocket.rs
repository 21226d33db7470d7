//! placeholder
use boa_gc::{Finalize, Trace};
#[derive(Trace, Finalize)]
pub(crate) struct WebSocket {}
