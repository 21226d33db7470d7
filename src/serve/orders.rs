//! What the server and the template say to each other: records on a Unix socket.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Names an instance.
pub(crate) type Id = u64;

/// What the server wants of the template.
#[derive(Debug)]
pub(crate) enum Order {
    /// An instance at the other end of this link.
    Fork { id: Id, link: OwnedFd },
    /// The end of an instance, whatever it does.
    Kill { id: Id },
}

/// What the template has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The application is loaded.
    Ready,
    /// An instance has ended with this status of `wait`.
    Ended { id: Id, status: i32 },
    /// There is no such instance: it could not be made, for this reason (`errno`).
    Refused { id: Id, error: i32 },
}

const FORK: u8 = b'F';
const KILL: u8 = b'K';
const READY: u8 = b'R';
const ENDED: u8 = b'E';
const REFUSED: u8 = b'N';

/// Each order: what, and of which instance.
const ORDER: usize = 9;
/// The same and a number.
const NEWS: usize = 13;

impl Order {
    pub(crate) fn send(&self, to: &UnixStream) -> io::Result<()> {
        let (what, id) = match self {
            Self::Fork { id, .. } => (FORK, id),
            Self::Kill { id } => (KILL, id),
        };
        let mut record = [what; ORDER];
        if let Some(place) = record.last_chunk_mut::<8>() {
            *place = id.to_le_bytes();
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        let link;
        if let Self::Fork { link: end, .. } = self {
            link = [end.as_fd()];
            with.push(SendAncillaryMessage::ScmRights(&link));
        }
        loop {
            match sendmsg(to, &[IoSlice::new(&record)], &mut with, SendFlags::NOSIGNAL) {
                // A record is far shorter than what a socket takes at once.
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next order; `None` when there will be none.
    pub(crate) fn receive(from: &UnixStream) -> io::Result<Option<Self>> {
        let mut record = [0; ORDER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut filled = 0;
        let mut link = None;
        while let Some(room) = record.get_mut(filled..).filter(|room| !room.is_empty()) {
            let received = match recvmsg(
                from,
                &mut [IoSliceMut::new(room)],
                &mut with,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Ok(received) => received,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in with.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    link = descriptors.last().or(link);
                }
            }
            if received.bytes == 0 {
                return Ok(None);
            }
            filled += received.bytes;
        }
        let [what, id @ ..] = record;
        let id = Id::from_le_bytes(id);
        match (what, link) {
            (FORK, Some(link)) => Ok(Some(Self::Fork { id, link })),
            (KILL, None) => Ok(Some(Self::Kill { id })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl News {
    pub(crate) fn send(self, to: &UnixStream) -> io::Result<()> {
        let (what, id, number) = match self {
            Self::Ready => (READY, 0, 0),
            Self::Ended { id, status } => (ENDED, id, status),
            Self::Refused { id, error } => (REFUSED, id, error),
        };
        let mut record = Vec::with_capacity(NEWS);
        record.push(what);
        record.extend_from_slice(&id.to_le_bytes());
        record.extend_from_slice(&number.to_le_bytes());
        io::Write::write_all(&mut &*to, &record)
    }

    /// The next piece of news.
    ///
    /// # Errors
    /// Also when there will be none.
    pub(crate) fn receive(mut from: &UnixStream) -> io::Result<Self> {
        let mut record = [0; NEWS];
        from.read_exact(&mut record)?;
        let [what, rest @ ..] = record;
        let (Some((id, rest)), true) = (rest.split_first_chunk::<8>(), true) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let id = Id::from_le_bytes(*id);
        let number = rest
            .first_chunk::<4>()
            .map_or(0, |n| i32::from_le_bytes(*n));
        match what {
            READY => Ok(Self::Ready),
            ENDED => Ok(Self::Ended { id, status: number }),
            REFUSED => Ok(Self::Refused { id, error: number }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_news_arrive_with_what_belongs_to_them() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        let link = OwnedFd::from(far);
        Order::Kill { id: 7 }.send(&here).unwrap();
        Order::Fork { id: 8, link }.send(&here).unwrap();
        Order::Kill { id: u64::MAX }.send(&here).unwrap();
        let next = || Order::receive(&there).unwrap();
        assert!(matches!(next(), Some(Order::Kill { id: 7 })));
        let Some(Order::Fork { id: 8, link }) = next() else {
            panic!("no link");
        };
        assert!(matches!(next(), Some(Order::Kill { id: u64::MAX })));
        io::Write::write_all(&mut UnixStream::from(link), b"x").unwrap();
        let mut read = Vec::new();
        near.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"x");

        let news = [
            News::Ready,
            News::Ended { id: 3, status: -1 },
            News::Refused { id: 4, error: 11 },
        ];
        for news in news {
            news.send(&there).unwrap();
            assert_eq!(News::receive(&here).unwrap(), news);
        }
        drop(here);
        assert!(next().is_none());
    }
}
