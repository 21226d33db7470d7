//! Blobs in structured clone: <https://w3c.github.io/FileAPI/#blob-section>. The bytes are shared, not copied.

use std::sync::Arc;

use boa_engine::{Context, JsResult, JsString, object::JsObject};

use super::Blob;
use crate::{
    binding::This,
    file::BlobData,
    structured_clone::{Serializable, Serialized, Text},
};

#[derive(Debug)]
struct SerializedBlob {
    data: BlobData,
    kind: Text,
}

impl Serializable for Blob {
    fn serialize(this: &This<Self>, _context: &mut Context) -> JsResult<Arc<dyn Serialized>> {
        let blob = this.state();
        Ok(Arc::new(SerializedBlob {
            data: blob.data().clone(),
            kind: blob.kind().into(),
        }))
    }
}

impl Serialized for SerializedBlob {
    fn deserialize(&self, context: &mut Context) -> JsResult<JsObject> {
        Blob::object(self.data.clone(), JsString::from(&self.kind), context)
    }
}
