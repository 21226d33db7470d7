//! Reading all bytes of a stream: <https://streams.spec.whatwg.org/#readablestreamdefaultreader-read-all-bytes>

use std::cell::{Cell, RefCell};

use aligned_vec::AVec;
use boa_engine::{Context, JsNativeError, JsResult, JsValue, object::builtins::AlignedVec};
use boa_gc::{Finalize, Gc, Trace};

use super::{
    ReadableStream,
    reader::{ReadRequest, Reader},
};
use crate::binding::{BufferSource, ViewKind};

/// What is done with the bytes, or with the reason why there are none.
type Steps<T> = fn(&T, Result<AlignedVec<u8>, JsValue>, &mut Context) -> JsResult<()>;

/// The bytes so far. Clones are the same reading.
#[derive(Trace, Finalize)]
struct Collecting<T: Trace + 'static>(Gc<State<T>>);

impl<T: Trace + 'static> Collecting<T> {
    fn same(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Trace, Finalize)]
struct State<T: Trace + 'static> {
    reader: Reader,
    captures: T,
    #[unsafe_ignore_trace]
    steps: Steps<T>,
    #[unsafe_ignore_trace]
    bytes: RefCell<AlignedVec<u8>>,
    /// Whether a read is being asked for, and whether its chunk came at once: a stream with many chunks must not recurse.
    #[unsafe_ignore_trace]
    reading: Cell<bool>,
    #[unsafe_ignore_trace]
    arrived: Cell<bool>,
}

impl ReadableStream {
    /// Reads the rest of the stream, which must not be locked, and runs the steps with all bytes. A chunk that is no
    /// `Uint8Array` is an error.
    pub(crate) fn collect_bytes<T: Trace + 'static>(
        &self,
        captures: T,
        steps: Steps<T>,
        context: &mut Context,
    ) -> JsResult<()> {
        let state = State {
            reader: Reader::acquire(self, context)?,
            captures,
            steps,
            bytes: RefCell::new(AVec::new(0)),
            reading: Cell::new(false),
            arrived: Cell::new(false),
        };
        Collecting(Gc::new(state)).read(context)
    }
}

impl<T: Trace + 'static> Collecting<T> {
    fn read(&self, context: &mut Context) -> JsResult<()> {
        let state = &self.0;
        loop {
            state.reading.set(true);
            state.arrived.set(false);
            let result = state.reader.read(Box::new(self.same()), context);
            state.reading.set(false);
            result?;
            if !state.arrived.get() {
                return Ok(());
            }
        }
    }

    fn end(&self, result: Result<AlignedVec<u8>, JsValue>, context: &mut Context) -> JsResult<()> {
        (self.0.steps)(&self.0.captures, result, context)
    }

    /// Adds the bytes of a chunk.
    fn add(&self, chunk: &JsValue, context: &mut Context) -> Result<(), JsNativeError> {
        let source = BufferSource::from_value(chunk, context)
            .filter(|source| source.view_kind() == Some(ViewKind::Uint8Array))
            .ok_or_else(|| {
                JsNativeError::typ().with_message("a chunk of the stream is not a Uint8Array")
            })?;
        let limit = context.host_hooks().max_buffer_size(context);
        let mut bytes = self.0.bytes.borrow_mut();
        let too_large = || {
            JsNativeError::range().with_message("the stream has more bytes than fit into memory")
        };
        if (bytes.len() + source.len()) as u64 > limit {
            return Err(too_large());
        }
        source.with_bytes(|chunk| {
            bytes.try_reserve(chunk.len()).map_err(|_| too_large())?;
            bytes.extend_from_slice(chunk);
            Ok(())
        })
    }
}

impl<T: Trace + 'static> ReadRequest for Collecting<T> {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        if let Err(error) = self.add(&chunk, context) {
            let error = error.into_opaque(context);
            return self.end(Err(error.into()), context);
        }
        if self.0.reading.get() {
            self.0.arrived.set(true);
            return Ok(());
        }
        self.read(context)
    }

    fn close(&self, _: JsValue, context: &mut Context) -> JsResult<()> {
        let bytes = self.0.bytes.replace(AVec::new(0));
        self.end(Ok(bytes), context)
    }

    fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        self.end(Err(error), context)
    }
}
