//! The File API: <https://w3c.github.io/FileAPI/>
//!
//! A [`Blob`] is a type and immutable bytes; [`BlobData`] is those bytes, shared between blobs and their
//! slices and, since it refers to no JavaScript, between threads.

mod blob;
mod data;
mod stream;

pub(crate) use blob::Blob;
pub(crate) use data::{AlignedBytes, BlobBuilder, BlobData};
