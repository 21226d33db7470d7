//! What a request says of where it comes from: <https://w3c.github.io/webappsec-referrer-policy/>

use url::{Origin, Url};

use super::enums::ReferrerPolicy;

/// A [referrer](https://fetch.spec.whatwg.org/#concept-request-referrer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Referrer {
    None,
    Client,
    Url(Url),
}

/// What is asked for, by whom.
pub(super) struct Ask<'a> {
    pub(super) referrer: &'a Referrer,
    pub(super) policy: ReferrerPolicy,
    /// The URL of the script or page that asks.
    pub(super) client: Option<&'a Url>,
    pub(super) target: &'a Url,
}

impl Ask<'_> {
    /// [Determine request's Referrer](https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer)
    pub(super) fn referrer(&self) -> Option<Url> {
        let source = match self.referrer {
            Referrer::None => return None,
            Referrer::Client => self.client?,
            Referrer::Url(url) => url,
        };
        if !matches!(source.scheme(), "http" | "https") {
            return None;
        }
        let mut whole = source.clone();
        whole.set_fragment(None);
        // Neither fails for a URL with a host.
        let _ = whole.set_username("");
        let _ = whole.set_password(None);
        let mut origin = whole.clone();
        origin.set_path("/");
        origin.set_query(None);
        if whole.as_str().len() > 4096 {
            whole = origin.clone();
        }
        let (whole, origin) = (|| whole, || origin);
        let same_origin = is_same(&source.origin(), &self.target.origin());
        let downgrade = is_trustworthy(source) && !is_trustworthy(self.target);
        match self.policy {
            ReferrerPolicy::NoReferrer => None,
            ReferrerPolicy::Origin => Some(origin()),
            ReferrerPolicy::UnsafeUrl => Some(whole()),
            ReferrerPolicy::StrictOrigin => (!downgrade).then(origin),
            ReferrerPolicy::NoReferrerWhenDowngrade => (!downgrade).then(whole),
            ReferrerPolicy::SameOrigin => same_origin.then(whole),
            ReferrerPolicy::OriginWhenCrossOrigin if same_origin => Some(whole()),
            ReferrerPolicy::OriginWhenCrossOrigin => Some(origin()),
            // The default of the empty string, too.
            ReferrerPolicy::StrictOriginWhenCrossOrigin | ReferrerPolicy::Empty => {
                if same_origin {
                    return Some(whole());
                }
                (!downgrade).then(origin)
            }
        }
    }

    /// Whether a request with a method other than GET and HEAD, whose mode does not ask for CORS, names its origin:
    /// <https://fetch.spec.whatwg.org/#append-a-request-origin-header> step 4
    pub(super) fn tells_origin(&self, origin: &Origin) -> bool {
        match self.policy {
            ReferrerPolicy::NoReferrer => false,
            ReferrerPolicy::Empty
            | ReferrerPolicy::NoReferrerWhenDowngrade
            | ReferrerPolicy::StrictOrigin
            | ReferrerPolicy::StrictOriginWhenCrossOrigin => {
                !(origin.ascii_serialization().starts_with("https:")
                    && self.target.scheme() != "https")
            }
            ReferrerPolicy::SameOrigin => is_same(origin, &self.target.origin()),
            ReferrerPolicy::Origin
            | ReferrerPolicy::OriginWhenCrossOrigin
            | ReferrerPolicy::UnsafeUrl => true,
        }
    }
}

/// Whether two origins are the same; no opaque origin is another's.
pub(super) fn is_same(one: &Origin, other: &Origin) -> bool {
    one == other
}

/// <https://w3c.github.io/webappsec-secure-contexts/#potentially-trustworthy-url>, as far as it concerns HTTP
fn is_trustworthy(url: &Url) -> bool {
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || local
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_policy_decides() {
        let client: Url = "https://u:p@a.example/x?y#z".parse().unwrap();
        let whole = Some("https://a.example/x?y");
        let origin = Some("https://a.example/");
        for (policy, same, cross, down) in [
            (ReferrerPolicy::Empty, whole, origin, None),
            (ReferrerPolicy::NoReferrer, None, None, None),
            (ReferrerPolicy::SameOrigin, whole, None, None),
            (ReferrerPolicy::Origin, origin, origin, origin),
            (ReferrerPolicy::StrictOrigin, origin, origin, None),
            (ReferrerPolicy::OriginWhenCrossOrigin, whole, origin, origin),
            (ReferrerPolicy::NoReferrerWhenDowngrade, whole, whole, None),
            (ReferrerPolicy::UnsafeUrl, whole, whole, whole),
        ] {
            let targets = [
                "https://a.example/2",
                "https://b.example/",
                "http://a.example/",
            ];
            for (target, expected) in targets.iter().zip([same, cross, down]) {
                let ask = Ask {
                    referrer: &Referrer::Client,
                    policy,
                    client: Some(&client),
                    target: &target.parse().unwrap(),
                };
                assert_eq!(
                    ask.referrer().as_ref().map(Url::as_str),
                    expected,
                    "{policy:?} {target}"
                );
            }
        }
    }
}
