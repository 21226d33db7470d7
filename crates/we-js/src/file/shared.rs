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
    pub(crate) fn of(blob: &This<Blob>) -> Self {
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

/// <https://w3c.github.io/FileAPI/#blob-section>, <https://w3c.github.io/FileAPI/#file-section>: a `File` is a `Blob`, and
/// serialized as what it is.
impl Serializable for Blob {
    fn serialize(this: &This<Self>, _: &mut Context) -> JsResult<Arc<dyn Serialized>> {
        Ok(Arc::new(SharedBlob::of(this)))
    }
}

impl Serialized for SharedBlob {
    fn deserialize(&self, context: &mut Context) -> JsResult<JsObject> {
        let data = self.data.clone();
        let kind = JsString::from(self.kind.as_str());
        let Some((name, last_modified)) = &self.file else {
            return Blob::object(data, kind, context);
        };
        let file = File {
            name: from_utf8(name),
            last_modified: *last_modified,
        };
        let root = BlobObject {
            blob: Blob::new(data, kind),
            file: Some(file),
        };
        Ok(binding::create::<File>(root, context)?.object().clone())
    }
}
