//! The File API: <https://w3c.github.io/FileAPI/>
//!
//! A [`Blob`] is a type and immutable bytes; [`BlobData`] is those bytes, shared between blobs and their
//! slices and, since it refers to no JavaScript, between threads. [`resolve`] finds them by a URL.

mod blob;
mod data;
mod interface;
mod object_url;
mod package;
mod parts;
mod reader;
mod reader_sync;
mod shared;
mod stream;

pub(crate) use blob::Blob;
pub(crate) use data::{AlignedBytes, BlobBuilder, BlobData};
pub(crate) use interface::File;
pub(crate) use object_url::{
    BlobUrlEntry, BlobUrls, create_object_url, resolve, revoke_object_url,
};
pub(crate) use reader::FileReader;
pub(crate) use reader_sync::install_file_reader_sync;
pub(crate) use shared::SharedBlob;
pub(crate) use stream::{of_bytes, of_bytes_with};
