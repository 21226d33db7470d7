//! `FileReaderSync`: <https://w3c.github.io/FileAPI/#FileReaderSync>

use boa_engine::{Context, JsData, JsResult};
use boa_gc::{Finalize, Trace};

use super::package::{Package, Reading};
use crate::binding::{Definition, Interface, NewTarget, PlatformObject, register};

/// A `FileReaderSync` has no state.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct FileReaderSync;

/// Defines the interface, which only the scopes of workers have.
pub(crate) fn install_file_reader_sync(context: &mut Context) -> JsResult<()> {
    register::<FileReaderSync>(context)
}

impl PlatformObject for FileReaderSync {}

impl Interface for FileReaderSync {
    const NAME: &'static str = "FileReaderSync";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, |new_target: &NewTarget<Self>, _, context| {
            new_target.create(Self, context)
        });
        idl.operation("readAsArrayBuffer", 1, |_, args, context| {
            Reading::from_arguments(Package::ArrayBuffer, args, context)?.package(context)
        });
        idl.operation("readAsBinaryString", 1, |_, args, context| {
            Reading::from_arguments(Package::BinaryString, args, context)?.package(context)
        });
        idl.operation("readAsText", 1, |_, args, context| {
            Reading::from_arguments(Package::Text(None), args, context)?.package(context)
        });
        idl.operation("readAsDataURL", 1, |_, args, context| {
            Reading::from_arguments(Package::DataUrl, args, context)?.package(context)
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::testing::Agent;

    #[test]
    fn it_reads_at_once_and_in_all_forms() {
        let mut agent = Agent::new();
        assert_eq!(agent.eval("typeof FileReaderSync"), Ok("undefined".into()));
        super::install_file_reader_sync(&mut agent.context).unwrap();
        let script = r"
            const reader = new FileReaderSync();
            const blob = new Blob([new Uint8Array([0x68, 0xE9])], { type: 'text/plain;charset=latin1' });
            [
                reader.readAsText(blob), reader.readAsText(blob, 'utf-8'), reader.readAsText(blob, 'no such'),
                reader.readAsBinaryString(blob), reader.readAsDataURL(blob), reader.readAsDataURL(new Blob),
                new Uint8Array(reader.readAsArrayBuffer(blob)), reader.readAsText(new Blob(['\ufeffx'])),
                error(() => reader.readAsText('x')), error(() => reader.readAsText()),
                error(() => FileReaderSync.prototype.readAsText.call({}, blob)),
            ].join('|')";
        let expected = "h\u{e9}|h\u{fffd}|h\u{e9}|h\u{e9}|data:text/plain;charset=latin1;base64,aOk=|\
            data:application/octet-stream;base64,|104,233|x|TypeError|TypeError|TypeError";
        assert_eq!(agent.eval(script).as_deref(), Ok(expected));
        let too_large = r"
            let large = new Blob([new Uint8Array(1 << 20)]); large = new Blob([large, large]);
            ['readAsText', 'readAsArrayBuffer', 'readAsDataURL', 'readAsBinaryString'].map(read => error(() => new FileReaderSync()[read](large))).join()";
        let expected = ["NotReadableError 0"; 4].join(",");
        assert_eq!(agent.eval(too_large), Ok(expected));
    }
}
