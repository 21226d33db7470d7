//! The enumerations of `RequestInit`: <https://fetch.spec.whatwg.org/#request-class>

use boa_engine::{Context, JsNativeError, JsResult};

use crate::binding::Dictionary;

/// An IDL enumeration: one word each.
macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($variant,)* }

        impl $name {
            #[allow(dead_code, reason = "of some, no script asks for the word")]
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// The member `name` of a dictionary.
            pub(super) fn member(
                dictionary: &Dictionary,
                name: &'static str,
                context: &mut Context,
            ) -> JsResult<Option<Self>> {
                let Some(word) = dictionary.string(name, context)? else {
                    return Ok(None);
                };
                let word = word.to_std_string_lossy();
                match Self::from_word(&word) {
                    Some(value) => Ok(Some(value)),
                    None => Err(JsNativeError::typ()
                        .with_message(format!("'{word}' is no value of '{name}'"))
                        .into()),
                }
            }
        }
    };
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestmode>
    Mode {
        Navigate = "navigate",
        SameOrigin = "same-origin",
        NoCors = "no-cors",
        Cors = "cors",
    }
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestcredentials>
    Credentials {
        Omit = "omit",
        SameOrigin = "same-origin",
        Include = "include",
    }
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestcache>
    CacheMode {
        Default = "default",
        NoStore = "no-store",
        Reload = "reload",
        NoCache = "no-cache",
        ForceCache = "force-cache",
        OnlyIfCached = "only-if-cached",
    }
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestredirect>
    Redirect {
        Follow = "follow",
        Error = "error",
        Manual = "manual",
    }
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestduplex>
    Duplex {
        Half = "half",
    }
}

enumeration! {
    /// <https://fetch.spec.whatwg.org/#requestpriority>
    Priority {
        High = "high",
        Low = "low",
        Auto = "auto",
    }
}

enumeration! {
    /// <https://w3c.github.io/webappsec-referrer-policy/#referrer-policies>
    ReferrerPolicy {
        Empty = "",
        NoReferrer = "no-referrer",
        NoReferrerWhenDowngrade = "no-referrer-when-downgrade",
        SameOrigin = "same-origin",
        Origin = "origin",
        StrictOrigin = "strict-origin",
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        UnsafeUrl = "unsafe-url",
    }
}
