//! Loading modules from files: the host's part of `import`
//! (<https://html.spec.whatwg.org/#integration-with-the-javascript-module-system>).
//!
//! Specifiers are URLs or relative to the URL of the script or module that imports them; only `file:` is loaded. Modules
//! are JavaScript, or JSON with the attribute `type: "json"`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use boa_engine::module::{Module, ModuleLoader, ModuleRequest, Referrer};
use boa_engine::object::FunctionObjectBuilder;
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
    Source, js_string,
};
use url::Url;

use super::scripts::syntax_error_text;

/// <https://html.spec.whatwg.org/#concept-script-type>, of those that an import can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ModuleType {
    JavaScript,
    Json,
}

/// The loader of a context: its [module map](https://html.spec.whatwg.org/#module-map).
#[derive(Default)]
pub(super) struct FileLoader {
    map: RefCell<HashMap<(Url, ModuleType), Module>>,
}

impl FileLoader {
    /// Adds a module that was not imported: the one that a program starts with.
    pub(super) fn insert_entry(&self, url: Url, module: Module) {
        self.map
            .borrow_mut()
            .insert((url, ModuleType::JavaScript), module);
    }

    fn get(&self, key: &(Url, ModuleType)) -> Option<Module> {
        self.map.borrow().get(key).cloned()
    }

    /// The URL that a module was loaded from.
    fn url_of(&self, module: &Module) -> Option<Url> {
        let map = self.map.borrow();
        let entry = map.iter().find(|(_, known)| *known == module);
        entry.map(|((url, _), _)| url.clone())
    }

    /// The [base URL](https://html.spec.whatwg.org/#concept-script-base-url) of whoever imports.
    fn base_url(&self, referrer: &Referrer) -> Option<Url> {
        match referrer {
            Referrer::Module(module) => self.url_of(module),
            Referrer::Script(_) | Referrer::Realm(_) => None,
        }
        .or_else(|| file_url(referrer.path().unwrap_or(Path::new("./"))).ok())
    }

    /// Fetches a [module script](https://html.spec.whatwg.org/#fetch-a-single-module-script).
    fn load(
        &self,
        referrer: &Referrer,
        request: &ModuleRequest,
        context: &mut Context,
    ) -> JsResult<Module> {
        let url = resolve(request.specifier(), self.base_url(referrer).as_ref())?;
        let key = (url, module_type(request)?);
        if let Some(module) = self.get(&key) {
            return Ok(module);
        }
        let module = load_file(&key.0, key.1, referrer, context)?;
        self.map.borrow_mut().insert(key, module.clone());
        Ok(module)
    }
}

impl ModuleLoader for FileLoader {
    async fn load_imported_module(
        self: Rc<Self>,
        referrer: Referrer,
        request: ModuleRequest,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        self.load(&referrer, &request, &mut context.borrow_mut())
    }

    /// [`HostGetImportMetaProperties`](https://html.spec.whatwg.org/#hostgetimportmetaproperties).
    fn init_import_meta(
        self: Rc<Self>,
        import_meta: &JsObject,
        module: &Module,
        context: &mut Context,
    ) {
        let Some(url) = self.url_of(module) else {
            return;
        };
        let base = JsString::from(url.as_str());
        let resolve = NativeFunction::from_copy_closure_with_captures(
            |_, args, base: &JsString, context| {
                let specifier = args.get_or_undefined(0).to_string(context)?;
                let base = Url::parse(&base.to_std_string_lossy()).ok();
                let url = resolve(&specifier, base.as_ref())?;
                Ok(JsString::from(url.as_str()).into())
            },
            base.clone(),
        );
        let resolve = FunctionObjectBuilder::new(context.realm(), resolve)
            .name(js_string!("resolve"))
            .length(1)
            .build();
        let properties: [(JsString, JsValue); 2] = [
            (js_string!("url"), base.into()),
            (js_string!("resolve"), resolve.into()),
        ];
        for (name, value) in properties {
            // The object is new and ordinary: this cannot fail.
            if let Err(error) = import_meta.create_data_property(name, value, context) {
                tracing::error!(target: "we::js", %error, "import.meta refused a property");
            }
        }
    }
}

/// [Resolves a module specifier](https://html.spec.whatwg.org/#resolve-a-module-specifier). There are no import maps.
fn resolve(specifier: &JsString, base: Option<&Url>) -> JsResult<Url> {
    let specifier = specifier.to_std_string_lossy();
    // Resolve a URL-like module specifier.
    let is_relative = ["/", "./", "../"]
        .iter()
        .any(|start| specifier.starts_with(start));
    let url = if is_relative {
        base.and_then(|base| base.join(&specifier).ok())
    } else {
        Url::parse(&specifier).ok()
    };
    url.ok_or_else(|| {
        let advice = if is_relative {
            "it is relative, and what it is relative to is not known"
        } else {
            "it is neither a URL nor does it start with \"./\", \"../\" or \"/\""
        };
        type_error(format!(
            "cannot resolve the module specifier \"{specifier}\": {advice}"
        ))
    })
}

/// The [module type](https://html.spec.whatwg.org/#module-type-from-module-request) that an import asks for.
fn module_type(request: &ModuleRequest) -> JsResult<ModuleType> {
    let mut module_type = ModuleType::JavaScript;
    for attribute in request.attributes() {
        let (key, value) = (
            attribute.key().to_std_string_lossy(),
            attribute.value().to_std_string_lossy(),
        );
        match (key.as_str(), value.as_str()) {
            ("type", "json") => module_type = ModuleType::Json,
            ("type", _) => {
                return Err(type_error(format!(
                    "modules of type \"{value}\" are not supported"
                )));
            }
            _ => {
                return Err(JsNativeError::syntax()
                    .with_message(format!("unknown import attribute \"{key}\""))
                    .into());
            }
        }
    }
    Ok(module_type)
}

fn load_file(
    url: &Url,
    module_type: ModuleType,
    referrer: &Referrer,
    context: &mut Context,
) -> JsResult<Module> {
    let path = file_path(url)?;
    let shown = shown_path(&path);
    // A file has no MIME type; its name stands in for one.
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    if is_json && module_type == ModuleType::JavaScript {
        return Err(type_error(format!(
            "{} is JSON: import it with {{ type: \"json\" }}",
            shown.display()
        )));
    }
    let text = read_source(&path).map_err(|error| {
        let importer = referrer
            .path()
            .map(|path| format!(", imported by {}", path.display()))
            .unwrap_or_default();
        type_error(format!(
            "cannot read {}{importer}: {error}",
            shown.display()
        ))
    })?;
    let parsed = match module_type {
        ModuleType::JavaScript => {
            let source = Source::from_bytes(&text).with_path(&shown);
            Module::parse(source, None, context)
        }
        ModuleType::Json => Module::parse_json(JsString::from(text.as_str()), context),
    };
    parsed.map_err(|error| {
        JsNativeError::syntax()
            .with_message(syntax_error_text(&error, &shown, &text))
            .into()
    })
}

fn file_path(url: &Url) -> JsResult<PathBuf> {
    if url.scheme() != "file" {
        return Err(type_error(format!(
            "cannot import {url}: modules are loaded from files only"
        )));
    }
    url.to_file_path()
        .map_err(|()| type_error(format!("cannot import {url}: it names no local file")))
}

/// The `file:` URL of a path; a relative one is relative to the current directory.
pub(super) fn file_url(path: &Path) -> io::Result<Url> {
    let absolute = std::path::absolute(path)?;
    Url::from_file_path(&absolute).map_err(|()| io::ErrorKind::InvalidInput.into())
}

/// A path as stacks and messages show it: without the current directory, as a user would write it.
pub(super) fn shown_path(path: &Path) -> PathBuf {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).to_path_buf()
}

/// Reads a file as the web decodes scripts: [UTF-8](https://encoding.spec.whatwg.org/#utf-8-decode), without a byte order
/// mark, bad bytes replaced.
pub(super) fn read_source(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    let (text, _) = encoding_rs::UTF_8.decode_with_bom_removal(&bytes);
    Ok(text.into_owned())
}

fn type_error(message: String) -> JsError {
    JsNativeError::typ().with_message(message).into()
}
