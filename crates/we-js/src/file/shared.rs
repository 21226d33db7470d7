//! A blob without its object: what other threads can have of it.

use boa_engine::{Context, JsResult, JsString, object::JsObject};

use super::{Blob, BlobData, File, blob::BlobObject};
use crate::binding::{self, This, from_utf8};

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

    /// The deserialization steps.
    pub(crate) fn into_object(self, context: &mut Context) -> JsResult<JsObject> {
        let kind = JsString::from(self.kind.as_str());
        let Some((name, last_modified)) = self.file else {
            return Blob::object(self.data, kind, context);
        };
        let name = from_utf8(&name);
        let file = File {
            name,
            last_modified,
        };
        let root = BlobObject {
            blob: Blob::new(self.data, kind),
            file: Some(file),
        };
        Ok(binding::create::<File>(root, context)?.object().clone())
    }
}
