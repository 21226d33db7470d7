//! [`Routes`]: what an application has said about its paths, for the server that decides before it asks an instance.

/// The routes of an application.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes(Vec<Route>);

#[derive(Debug, PartialEq, Eq)]
struct Route {
    kind: Kind,
    pattern: String,
}

/// What is served on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WebSocket,
    /// A room for each name below it.
    Room,
    Http,
}

impl Routes {
    /// Reads what an application says; lines that say something else are left out.
    pub(crate) fn parse(manifest: &str) -> Self {
        let routes = manifest.lines().filter_map(|line| {
            let (kind, pattern) = line.split_once(' ')?;
            let kind = match kind {
                "websocket" => Kind::WebSocket,
                "room" => Kind::Room,
                "http" => Kind::Http,
                _ => return None,
            };
            let pattern = pattern.to_owned();
            Some(Route { kind, pattern })
        });
        Self(routes.collect())
    }

    /// The route that leads to rooms.
    pub(crate) fn rooms(&self) -> Option<&str> {
        let mut routes = self.0.iter();
        let route = routes.find(|route| route.kind == Kind::Room)?;
        Some(&route.pattern)
    }

    /// The route of a request's target: the path itself, or else the longest that ends in `/*` above it.
    pub(crate) fn find(&self, target: &str) -> Option<(Kind, &str)> {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let matching = self
            .0
            .iter()
            .filter(|route| match route.pattern.strip_suffix('*') {
                Some(folder) if route.kind == Kind::Room => {
                    path.starts_with(folder) || folder.strip_suffix('/') == Some(path)
                }
                Some(folder) => path.starts_with(folder),
                None => path == route.pattern,
            });
        matching
            // An exact one has no star, and beats all that have.
            .max_by_key(|route| (!route.pattern.ends_with('*'), route.pattern.len()))
            .map(|route| (route.kind, route.pattern.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Routes};

    #[test]
    fn the_nearest_route_is_found() {
        let routes = Routes::parse(
            "websocket /chat\nhttp /chat/*\nhttp /*\nwebsocket /chat/private/*\nnonsense\nother /x",
        );
        for (target, expected) in [
            ("/chat", (Kind::WebSocket, "/chat")),
            ("/chat?x=/y", (Kind::WebSocket, "/chat")),
            ("/chat/", (Kind::Http, "/chat/*")),
            ("/chat/a/b", (Kind::Http, "/chat/*")),
            ("/chat/private/x", (Kind::WebSocket, "/chat/private/*")),
            ("/chatter", (Kind::Http, "/*")),
            ("/", (Kind::Http, "/*")),
        ] {
            assert_eq!(routes.find(target), Some(expected), "{target}");
        }
        let rooms = Routes::parse("room /ws/*\nhttp /*");
        assert_eq!(rooms.rooms(), Some("/ws/*"));
        for (target, expected) in [
            ("/ws", (Kind::Room, "/ws/*")),
            ("/ws?x", (Kind::Room, "/ws/*")),
            ("/ws/", (Kind::Room, "/ws/*")),
            ("/ws/a", (Kind::Room, "/ws/*")),
            ("/wsa", (Kind::Http, "/*")),
        ] {
            assert_eq!(rooms.find(target), Some(expected), "{target}");
        }
        assert_eq!(routes.rooms(), None);
        assert_eq!(routes.find("*"), None);
        assert_eq!(Routes::parse("http /a").find("/"), None);
    }
}
