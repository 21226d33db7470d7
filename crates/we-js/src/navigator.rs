//! `Navigator` and `WorkerNavigator`: <https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object>,
//! <https://html.spec.whatwg.org/multipage/workers.html#the-workernavigator-object>
//!
//! What the mixins say of a user agent that is not a browser: constants for compatibility's sake, its own name, and
//! nothing about who runs it.

use std::thread;

use boa_engine::{
    Context, JsData, JsResult, JsValue, js_string,
    object::{IntegrityLevel, JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, GcRefCell, Trace};

use crate::binding::{self, Definition, Interface, PlatformObject, This};

/// The name and version that scripts find in `userAgent`.
const USER_AGENT: &str = concat!("we/", env!("CARGO_PKG_VERSION"));

/// The state of a `Navigator` or, in a worker, of a `WorkerNavigator`.
#[derive(Default, Trace, Finalize, JsData)]
pub(crate) struct Navigator<const IN_WORKER: bool> {
    /// `languages`, from when a script first asked for it.
    languages: GcRefCell<Option<JsObject>>,
}

impl<const IN_WORKER: bool> PlatformObject for Navigator<IN_WORKER> {}

impl<const IN_WORKER: bool> Interface for Navigator<IN_WORKER> {
    const NAME: &'static str = if IN_WORKER {
        "WorkerNavigator"
    } else {
        "Navigator"
    };
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        // NavigatorID
        idl.readonly("appCodeName", |_, _| Ok(js_string!("Mozilla")));
        idl.readonly("appName", |_, _| Ok(js_string!("Netscape")));
        idl.readonly("appVersion", |_, _| {
            Ok(js_string!(env!("CARGO_PKG_VERSION")))
        });
        idl.readonly("platform", |_, _| Ok(js_string!(platform())));
        idl.readonly("product", |_, _| Ok(js_string!("Gecko")));
        idl.readonly("userAgent", |_, _| Ok(js_string!(USER_AGENT)));

        // NavigatorLanguage
        idl.readonly("language", |_, _| Ok(js_string!("en-US")));
        idl.readonly("languages", languages);

        // NavigatorOnLine: whether there is a network is not known beforehand.
        idl.readonly("onLine", |_, _| Ok(true));

        // NavigatorConcurrentHardware
        idl.readonly("hardwareConcurrency", |_, _| {
            let processors = thread::available_parallelism().map_or(1, usize::from);
            Ok(processors as f64)
        });
        Ok(())
    }
}

/// <https://html.spec.whatwg.org/multipage/system-state.html#dom-navigator-platform>, as browsers name the common ones.
fn platform() -> &'static str {
    if cfg!(windows) {
        "Win32"
    } else if cfg!(target_os = "macos") {
        "MacIntel"
    } else if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        "Linux x86_64"
    } else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
        "Linux aarch64"
    } else {
        ""
    }
}

/// <https://html.spec.whatwg.org/multipage/system-state.html#dom-navigator-languages>: always the same frozen array.
fn languages<const IN_WORKER: bool>(
    this: &This<Navigator<IN_WORKER>>,
    context: &mut Context,
) -> JsResult<JsObject> {
    if let Some(languages) = this.state().languages.borrow().clone() {
        return Ok(languages);
    }
    let languages: JsObject =
        JsArray::from_iter([JsValue::from(js_string!("en-US"))], context).into();
    languages.set_integrity_level(IntegrityLevel::Frozen, context)?;
    *this.state().languages.borrow_mut() = Some(languages.clone());
    Ok(languages)
}

/// The realm's only `Navigator`, from when a script first asked for it.
#[derive(Trace, Finalize, JsData)]
struct SameObject(JsObject);

/// `readonly attribute Navigator navigator`, or that of a worker.
pub(crate) fn define_attribute<T: Interface, const IN_WORKER: bool>(idl: &mut Definition<'_, T>) {
    idl.readonly("navigator", |_, context| navigator::<IN_WORKER>(context));
}

fn navigator<const IN_WORKER: bool>(context: &mut Context) -> JsResult<JsValue> {
    let realm = context.realm().clone();
    let known = realm
        .host_defined()
        .get::<SameObject>()
        .map(|same| same.0.clone());
    if let Some(object) = known {
        return Ok(object.into());
    }
    let navigator = binding::create::<Navigator<IN_WORKER>>(Navigator::default(), context)?;
    let object = navigator.object().clone();
    realm.host_defined_mut().insert(SameObject(object.clone()));
    Ok(object.into())
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn a_navigator_tells_of_no_browser() {
        cases(&[
            (
                "const { appCodeName, appName, product, language, languages, onLine } = navigator; [appCodeName, appName, product, language, languages, onLine].join()",
                "Mozilla,Netscape,Gecko,en-US,en-US,true",
            ),
            (
                "[navigator.userAgent === `we/${navigator.appVersion}`, navigator.hardwareConcurrency >= 1, typeof navigator.platform].join()",
                "true,true,string",
            ),
            (
                "[navigator === navigator, navigator instanceof Navigator, String(navigator), Object.isFrozen(navigator.languages), navigator.languages === navigator.languages].join()",
                "true,true,[object Navigator],true,true",
            ),
            (
                "[() => new Navigator, () => Navigator.prototype.userAgent, () => { 'use strict'; navigator = 1 }].map(error).join()",
                "TypeError,TypeError,TypeError",
            ),
        ]);
    }
}
