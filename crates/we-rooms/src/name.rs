//! [`RoomName`]: names, and the paths that they stand in.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

/// The name of a room: 1 to 128 bytes of UTF-8 without control characters. Cloned by pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

/// Why something is no name of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoomName {
    /// It is not where rooms are.
    #[error("there is no room at this path")]
    OtherPath,
    /// It is too long.
    #[error("the name of a room has at most {} bytes", RoomName::MAX_LEN)]
    TooLong,
    /// It is empty, not UTF-8, or has a control character.
    #[error("the name of a room is text without control characters")]
    NoText,
}

impl RoomName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The room of who does not ask for one.
    pub const DEFAULT: &'static str = "1";

    /// A name.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn new(name: &str) -> Result<Self, InvalidRoomName> {
        if name.len() > Self::MAX_LEN {
            return Err(InvalidRoomName::TooLong);
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(InvalidRoomName::NoText);
        }
        Ok(Self(name.into()))
    }

    /// The room that a request's target is for: `/ws/ROOM`, percent-encoded as paths are, or `/ws` for room
    /// [`DEFAULT`](Self::DEFAULT). What follows a `?` does not count.
    ///
    /// # Errors
    /// If it is for none.
    pub fn of_target(target: &str) -> Result<Self, InvalidRoomName> {
        Self::below("/ws", target)
    }

    /// The same where rooms are below another path than `/ws`; without a slash at its end.
    ///
    /// # Errors
    /// If it is for none.
    pub fn below(folder: &str, target: &str) -> Result<Self, InvalidRoomName> {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let name = match path.strip_prefix(folder) {
            Some("" | "/") => return Self::new(Self::DEFAULT),
            Some(rest) => rest
                .strip_prefix('/')
                .filter(|name| !name.contains('/'))
                .ok_or(InvalidRoomName::OtherPath)?,
            None => return Err(InvalidRoomName::OtherPath),
        };
        let name = percent_decode_str(name)
            .decode_utf8()
            .map_err(|_| InvalidRoomName::NoText)?;
        Self::new(&name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidRoomName, RoomName};

    #[test]
    fn paths_name_rooms() {
        use InvalidRoomName::{NoText, OtherPath, TooLong};
        let long = "x".repeat(RoomName::MAX_LEN);
        for (target, expected) in [
            ("/ws", Ok("1")),
            ("/ws/", Ok("1")),
            ("/ws?token=/ws/x", Ok("1")),
            ("/ws/garden", Ok("garden")),
            ("/ws/garden?x", Ok("garden")),
            ("/ws/gr%C3%BCn%2Fblau", Ok("grün/blau")),
            ("/ws/%", Ok("%")),
            (&*format!("/ws/{long}"), Ok(&*long)),
            (&*format!("/ws/{long}x"), Err(TooLong)),
            ("/ws/a/b", Err(OtherPath)),
            ("/ws//", Err(OtherPath)),
            ("/wsx", Err(OtherPath)),
            ("/", Err(OtherPath)),
            ("/ws/%FF", Err(NoText)),
            ("/ws/a%00", Err(NoText)),
            ("/ws/%0A", Err(NoText)),
        ] {
            let name = RoomName::of_target(target);
            let name = name.as_ref().map(RoomName::as_str).map_err(|error| *error);
            assert_eq!(name, expected, "{target}");
        }
    }
}
