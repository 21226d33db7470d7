//! `File`: <https://w3c.github.io/FileAPI/#file-section>

use std::time::SystemTime;

use boa_engine::{Context, JsArgs, JsResult, JsString, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::{
    Blob,
    blob::BlobObject,
    parts::{self, BlobOptions},
};
use crate::binding::{
    Definition, Dictionary, IntegerConversion, Interface, NewTarget, from_utf8, signed_integer,
    usv_string,
};

/// What a `File` has besides the state of a `Blob`.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct File {
    pub(super) name: JsString,
    /// In milliseconds since 1970.
    pub(super) last_modified: i64,
}

impl Interface for File {
    const NAME: &'static str = "File";
    type Root = BlobObject;

    fn project(root: &BlobObject) -> Option<&Self> {
        root.file.as_ref()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Blob>()?;
        idl.constructor(2, construct);
        idl.readonly("name", |this, _| Ok(this.state().name.clone()));
        idl.readonly("lastModified", |this, _| {
            Ok(this.state().last_modified as f64)
        });
        // No file here comes from a directory that was chosen: https://wicg.github.io/entries-api/#dom-file-webkitrelativepath
        idl.readonly("webkitRelativePath", |_, _| Ok(js_string!()));
        Ok(())
    }
}

/// <https://w3c.github.io/FileAPI/#dom-file-file>
fn construct(
    new_target: &NewTarget<File>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let parts = parts::from_sequence(args.get_or_undefined(0), context)?;
    let name = from_utf8(&usv_string(args.get_or_undefined(1), context)?);
    let dictionary = Dictionary::new(args.get_or_undefined(2))?;
    let options = BlobOptions::from_dictionary(&dictionary, context)?;
    let last_modified = match dictionary.get("lastModified", context)? {
        Some(value) => signed_integer(&value, 64, IntegerConversion::Wrap, context)?,
        None => now(),
    };
    let file = File {
        name,
        last_modified,
    };
    let blob = Blob::of_parts(&parts, &options, context)?;
    let file = Some(file);
    new_target.create(BlobObject { blob, file }, context)
}

/// The current time in milliseconds since 1970, before which no clock is set.
fn now() -> i64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time| {
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn a_file_is_a_blob_with_a_name() {
        cases(&[
            (
                "const f = new File(['a\\n', new Blob(['b'])], 'x/\\ud800', { type: 'Text/X', lastModified: 5.9 });
                 f.text().then(t => [t, f.name, f.type, f.size, f.lastModified, f.webkitRelativePath, f instanceof Blob, String(f)].join('|'))",
                "a\nb|x/\u{fffd}|text/x|3|5||true|[object File]",
            ),
            (
                "const before = Date.now(); const { lastModified } = new File([], ''); [before <= lastModified, lastModified <= Date.now()].join()",
                "true,true",
            ),
            (
                "[-1, new Date(7), null, 2 ** 53, 2 ** 63].map(lastModified => new File([], '', { lastModified }).lastModified).join()",
                "-1,7,0,9007199254740992,-9223372036854776000",
            ),
            (
                "const log = []; new File([], '', { get type() { log.push('type') }, get lastModified() { log.push('lastModified') }, get endings() { log.push('endings') } }); log.join()",
                "endings,type,lastModified",
            ),
            (
                "const f = new File(['abc'], 'f'); [f.slice(1).constructor.name, f.slice(1).size, File.__proto__ === Blob, File.length].join()",
                "Blob,2,true,2",
            ),
            (
                "[() => new File(), () => new File([]), () => new File('a', 'b'), () => new File(undefined, ''), () => File([], ''), () => File.prototype.name,
                  () => Reflect.get(File.prototype, 'name', new Blob)].map(error).join()",
                "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError",
            ),
        ]);
    }
}
