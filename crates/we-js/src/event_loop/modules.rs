//! Loading modules: the host's part of `import`
//! (<https://html.spec.whatwg.org/#integration-with-the-javascript-module-system>).
//!
//! Specifiers are URLs or relative to the URL of the script or module that imports them; what [`fetch`](crate::fetch) can fetch is loaded. Modules
//! are JavaScript, or JSON with the attribute `type: "json"`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;

use boa_engine::module::{Module, ModuleLoader, ModuleRequest, Referrer};
use boa_engine::object::FunctionObjectBuilder;
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
    Source, js_string,
};
use tokio::sync::Notify;
use url::Url;

use super::LoopState;
use super::scripts::syntax_error;
use crate::fetch::{Destination, FetchError, Fetched, decode};
use crate::serve;

/// <https://html.spec.whatwg.org/#concept-script-type>, of those that an import can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ModuleType {
    JavaScript,
    Json,
}

/// The loader of a context: its [module map](https://html.spec.whatwg.org/#module-map).
#[derive(Default)]
pub(super) struct Loader {
    map: RefCell<HashMap<Key, Loaded>>,
    /// The modules that are being fetched: the map's entries "fetching"; and those that have been, while somebody who has waited for one has
    /// yet to go on.
    flights: RefCell<HashMap<Key, Rc<Flight>>>,
}

/// What a module is asked for by.
type Key = (Url, ModuleType);

/// A module and the URL that it came from at last, redirects followed.
struct Loaded {
    module: Module,
    url: Url,
}

/// A fetch that several imports wait for.
#[derive(Default)]
struct Flight {
    landed: Notify,
    has_landed: Cell<bool>,
    /// How many have yet to go on.
    waiting: Cell<usize>,
    /// `None` if the import that was to fetch has been given up.
    outcome: RefCell<Option<JsResult<Module>>>,
}

/// Ends a flight for all who wait for it, also when the import that fetches is given up.
struct Landing<'a> {
    loader: &'a Loader,
    key: &'a Key,
    flight: Rc<Flight>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.flight.has_landed.set(true);
        if self.flight.waiting.get() == 0 {
            self.loader.flights.borrow_mut().remove(self.key);
        }
        self.flight.landed.notify_waiters();
    }
}

/// Somebody who waits for a flight, until he goes on, or his import is given up.
struct Passenger<'a> {
    loader: &'a Loader,
    key: &'a Key,
    flight: &'a Flight,
}

impl<'a> Passenger<'a> {
    fn new(loader: &'a Loader, key: &'a Key, flight: &'a Flight) -> Self {
        flight.waiting.set(flight.waiting.get() + 1);
        Self {
            loader,
            key,
            flight,
        }
    }
}

impl Drop for Passenger<'_> {
    fn drop(&mut self) {
        let waiting = self.flight.waiting.get().saturating_sub(1);
        self.flight.waiting.set(waiting);
        if waiting == 0 && self.flight.has_landed.get() {
            self.loader.flights.borrow_mut().remove(self.key);
        }
    }
}

impl Loader {
    /// Adds a module that was not imported: the one that a program starts with.
    pub(super) fn insert_entry(&self, url: Url, module: Module) {
        let key = (url.clone(), ModuleType::JavaScript);
        self.map.borrow_mut().insert(key, Loaded { module, url });
    }

    fn get(&self, key: &Key) -> Option<Module> {
        let map = self.map.borrow();
        map.get(key).map(|loaded| loaded.module.clone())
    }

    /// The URL that a module was loaded from.
    fn url_of(&self, module: &Module) -> Option<Url> {
        let map = self.map.borrow();
        let loaded = map.values().find(|loaded| loaded.module == *module);
        loaded.map(|loaded| loaded.url.clone())
    }

    /// The [base URL](https://html.spec.whatwg.org/#concept-script-base-url) of whoever imports.
    fn base_url(&self, referrer: &Referrer) -> Option<Url> {
        match referrer {
            Referrer::Module(module) => self.url_of(module),
            Referrer::Script(_) | Referrer::Realm(_) => None,
        }
        .or_else(|| source_url(referrer.path().unwrap_or(Path::new("./"))))
    }

    /// Fetches a [module script](https://html.spec.whatwg.org/#fetch-a-single-module-script).
    async fn load(
        &self,
        referrer: &Referrer,
        request: &ModuleRequest,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        let url = resolve(request.specifier(), self.base_url(referrer).as_ref())?;
        let key = (url, module_type(request)?);
        refuse_json_by_name(&key.0, key.1)?;
        loop {
            let flight = self.flights.borrow().get(&key).cloned();
            let Some(flight) = flight else {
                return match self.get(&key) {
                    Some(module) => Ok(module),
                    None => self.fetch(&key, referrer, context).await,
                };
            };
            if flight.has_landed.get() {
                // Those who have waited for it go on first, so that what was imported first is there first.
                let mut has_yielded = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut has_yielded, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                continue;
            }
            let passenger = Passenger::new(self, &key, &flight);
            flight.landed.notified().await;
            drop(passenger);
            if let Some(outcome) = flight.outcome.borrow().clone() {
                return outcome;
            }
        }
    }

    /// Fetches what nobody else fetches.
    async fn fetch(
        &self,
        key: &Key,
        referrer: &Referrer,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        let flight = Rc::<Flight>::default();
        self.flights
            .borrow_mut()
            .insert(key.clone(), flight.clone());
        let landing = Landing {
            loader: self,
            key,
            flight,
        };
        let outcome = self.fetch_and_parse(key, referrer, context).await;
        *landing.flight.outcome.borrow_mut() = Some(outcome.clone());
        outcome
    }

    async fn fetch_and_parse(
        &self,
        key: &Key,
        referrer: &Referrer,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        let (url, module_type) = key;
        if let Some(module) = serve::built_in_module(url, &mut context.borrow_mut()) {
            let module = module?;
            let loaded = Loaded {
                module: module.clone(),
                url: url.clone(),
            };
            self.map.borrow_mut().insert(key.clone(), loaded);
            return Ok(module);
        }
        let destination = match module_type {
            ModuleType::JavaScript => Destination::Module,
            ModuleType::Json => Destination::JsonModule,
        };
        let state = LoopState::of(&context.borrow())?;
        let (fetcher, target) = (state.fetcher(), state.import_target(url.clone()));
        let fetched = fetcher
            .fetch(&target, destination)
            .await
            .map_err(|error| cannot_load(&error, referrer))?;
        let module = parse(&fetched, *module_type, &mut context.borrow_mut())?;
        let loaded = Loaded {
            module: module.clone(),
            url: fetched.url,
        };
        self.map.borrow_mut().insert(key.clone(), loaded);
        Ok(module)
    }
}

impl ModuleLoader for Loader {
    async fn load_imported_module(
        self: Rc<Self>,
        referrer: Referrer,
        request: ModuleRequest,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        self.load(&referrer, &request, context).await
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

/// A file has no MIME type; its name stands in for one.
fn refuse_json_by_name(url: &Url, module_type: ModuleType) -> JsResult<()> {
    let is_json = url.scheme() == "file" && url.path().ends_with(".json");
    if is_json && module_type == ModuleType::JavaScript {
        let shown = shown_url(url);
        return Err(type_error(format!(
            "{} is JSON: import it with {{ type: \"json\" }}",
            shown.display()
        )));
    }
    Ok(())
}

fn cannot_load(error: &FetchError, referrer: &Referrer) -> JsError {
    let importer = referrer
        .path()
        .map(|path| format!(", imported by {}", path.display()))
        .unwrap_or_default();
    type_error(match error {
        FetchError::Read { path, source } => {
            format!(
                "cannot read {}{importer}: {source}",
                shown_path(path).display()
            )
        }
        error => format!("{error}{importer}"),
    })
}

fn parse(fetched: &Fetched, module_type: ModuleType, context: &mut Context) -> JsResult<Module> {
    let Fetched { url, text, .. } = fetched;
    let shown = shown_url(url);
    let parsed = match module_type {
        ModuleType::JavaScript => {
            let source = Source::from_bytes(text).with_path(&shown);
            Module::parse(source, None, context)
        }
        ModuleType::Json => Module::parse_json(JsString::from(text.as_str()), context),
    };
    parsed.map_err(|error| syntax_error(&error, &shown, text, context))
}

/// The URL of a source that stacks and messages show as `path`: a URL, or the path of a file.
pub(super) fn source_url(path: &Path) -> Option<Url> {
    let url = path.to_str().and_then(|text| Url::parse(text).ok());
    // `C:\file` is a path.
    let url = url.filter(|url| url.scheme().len() > 1);
    url.or_else(|| file_url(path).ok())
}

/// A URL as stacks and messages show it: a file's is its path.
fn shown_url(url: &Url) -> PathBuf {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => shown_path(&path),
        _ => PathBuf::from(url.as_str()),
    }
}

/// The `file:` URL of a path; a relative one is relative to the current directory.
pub(crate) fn file_url(path: &Path) -> io::Result<Url> {
    let absolute = std::path::absolute(path)?;
    Url::from_file_path(&absolute).map_err(|()| io::ErrorKind::InvalidInput.into())
}

/// A path as stacks and messages show it: without the current directory, as a user would write it.
pub(super) fn shown_path(path: &Path) -> PathBuf {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).to_path_buf()
}

/// Reads a file as the web decodes scripts.
pub(super) fn read_source(path: &Path) -> io::Result<String> {
    Ok(decode(&std::fs::read(path)?))
}

fn type_error(message: String) -> JsError {
    JsNativeError::typ().with_message(message).into()
}
