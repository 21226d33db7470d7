//! A blob without its object: what other threads can have of it.

use std::sync::Arc;

use boa_engine::{Context, JsResult, JsString, object::JsObject};

use super::{Blob, BlobData, File, blob::BlobObject};
use crate::{
    binding::{self, This, from_utf8},
    structured_clone::{Serializable, Serialized},
};

/// The state of a `Blob` or `File`, by which the same can be made in another realm or agent.
#[derive(Clone, Debug)]
pub(crate) struct SharedBlob {
    pub(crate) data: BlobData,
    /// `type`, which is ASCII.
    pub(crate) kind: String,
    /// Name and time of the last change, if it is a `File`.
    file: Option<(String, i64)>,
}

impl SharedBlob {
    /// The serialization steps: <https://w3c.github.io/FileAPI/#blob-section>, <https://w3c.github.io/FileAPI/#file-section>
    pub(super) fn of(blob: &This<Blob>) -> Self {
        let file = This::<File>::from_object(blob.object().clone()).map(|file| {
            let file = file.state();
            (file.name.to_std_string_lossy(), file.last_modified)
        });
        let blob = blob.state();
        Self {
            data: blob.data().clone(),
            kind: blob.kind().to_std_string_lossy(),
            file,
        }
    }
}

/// The bytes are shared, not copied.
impl Serializable for Blob {
    fn serialize(this: &This<Self>, _context: &mut Context) -> JsResult<Arc<dyn Serialized>> {
        Ok(Arc::new(SharedBlob::of(this)))
    }
}

impl Serialized for SharedBlob {
    fn deserialize(&self, context: &mut Context) -> JsResult<JsObject> {
        let kind = JsString::from(self.kind.as_str());
        let data = self.data.clone();
        let Some((name, last_modified)) = &self.file else {
            return Blob::object(data, kind, context);
        };
        let name = from_utf8(name);
        let file = File {
            name,
            last_modified: *last_modified,
        };
        let root = BlobObject {
            blob: Blob::new(data, kind),
            file: Some(file),
        };
        Ok(binding::create::<File>(root, context)?.object().clone())
    }
}
