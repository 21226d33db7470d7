//! Which MIME types say that something is a script: <https://mimesniff.spec.whatwg.org/>

/// The [essence](https://mimesniff.spec.whatwg.org/#mime-type-essence) of a MIME type: type and subtype in lower case.
#[derive(Debug)]
pub(super) struct Essence(String);

/// <https://mimesniff.spec.whatwg.org/#javascript-mime-type>
const JAVASCRIPT: [&str; 16] = [
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

impl Essence {
    /// The essence of a `Content-Type`, whose parameters do not matter.
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default();
        Self(
            essence
                .trim_matches([' ', '\t', '\r', '\n'])
                .to_ascii_lowercase(),
        )
    }

    pub(super) fn is_javascript(&self) -> bool {
        JAVASCRIPT.contains(&self.0.as_str())
    }

    /// <https://mimesniff.spec.whatwg.org/#json-mime-type>
    pub(super) fn is_json(&self) -> bool {
        matches!(self.0.as_str(), "application/json" | "text/json") || self.0.ends_with("+json")
    }
}
