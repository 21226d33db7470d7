//! Reading no faster than the porters carry.
//!
//! What a connection reads waits in `h2` until the [porters](super::inbox) have taken it, and `h2` ends a connection in which too
//! many tiny frames wait. Porters are quick, but they are tasks, and on a busy machine the task that reads may run far ahead of
//! them. So it stops after each [`BURST`] until every porter that was woken has run.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read before the porters must have caught up.
pub(super) const BURST: usize = 64 * 1024;

/// The pace of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Wake-ups of porters that have not been followed by a run.
    behind: AtomicUsize,
    /// The task that reads, while it waits for them.
    reader: Mutex<Option<Waker>>,
}

impl Pace {
    fn set_reader(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut reader, waker)
    }

    fn has_caught_up(&self) -> bool {
        self.0.behind.load(SeqCst) == 0
    }

    /// Ready when no porter is behind.
    fn poll_caught_up(&self, cx: &Context<'_>) -> Poll<()> {
        if self.has_caught_up() {
            return Poll::Ready(());
        }
        self.set_reader(Some(cx.waker().clone()));
        // The last of them may have run between the two lines above.
        if self.has_caught_up() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn fall_behind(&self) {
        self.0.behind.fetch_add(1, SeqCst);
    }

    fn catch_up(&self) {
        if self.0.behind.fetch_sub(1, SeqCst) == 1
            && let Some(reader) = self.set_reader(None)
        {
            reader.wake();
        }
    }

    /// `porter`, whose wake-ups count.
    pub(super) fn count<F: Future>(&self, porter: F) -> Counted<Pin<Box<F>>> {
        // It has to run once before anything can wake it.
        self.fall_behind();
        Counted {
            porter: Box::pin(porter),
            call: Arc::new(Call {
                is_due: AtomicBool::new(true),
                task: Mutex::new(Waker::noop().clone()),
                pace: self.clone(),
            }),
        }
    }
}

/// A porter.
pub(super) struct Counted<F> {
    porter: F,
    call: Arc<Call>,
}

/// What wakes a porter.
struct Call {
    /// Whether it has been woken and not run since.
    is_due: AtomicBool,
    task: Mutex<Waker>,
    pace: Pace,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Counted before it can be seen, so that nobody takes off what has not been added.
        self.pace.fall_behind();
        if self.is_due.swap(true, SeqCst) {
            self.pace.catch_up();
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.wake_by_ref();
    }
}

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let mut task = this
            .call
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        task.clone_from(cx.waker());
        drop(task);
        // What wakes it from here on is for the next run.
        let was_due = this.call.is_due.swap(false, SeqCst);
        let waker = Waker::from(Arc::clone(&this.call));
        let result = Pin::new(&mut this.porter).poll(&mut Context::from_waker(&waker));
        if was_due {
            this.call.pace.catch_up();
        }
        result
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        if self.call.is_due.swap(true, SeqCst) {
            self.call.pace.catch_up();
        }
    }
}

/// The bytes of a connection, read at this pace.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    /// What has been read from the stream already.
    first: Bytes,
    stream: S,
    pace: Pace,
    /// Bytes read since the porters were last seen to have caught up.
    read: usize,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        Self {
            first: Bytes::new(),
            stream,
            pace,
            read: 0,
        }
    }

    /// The same behind bytes that have been read from the stream already.
    pub(super) fn behind(mut self, first: Vec<u8>) -> Self {
        self.first = first.into();
        self
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let count = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if this.read >= BURST {
            std::task::ready!(this.pace.poll_caught_up(cx));
            this.read = 0;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.read += buf.filled().len() - before;
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// A porter that goes on for ever, and its waker.
    fn porter(pace: &Pace) -> (impl Future<Output = ()> + Unpin, Arc<Mutex<Option<Waker>>>) {
        let slot = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&slot);
        let porter = std::future::poll_fn(move |cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        });
        (pace.count(porter), slot)
    }

    fn run(porter: &mut (impl Future<Output = ()> + Unpin)) {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(porter).poll(cx).is_pending());
    }

    #[test]
    fn a_burst_waits_for_the_porters_that_were_woken() {
        let pace = Pace::default();
        let mut paced = Paced::new(tokio::io::repeat(7), pace.clone());
        let reader = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&reader));
        let mut read = || {
            let mut buffer = vec![0; BURST];
            let mut buffer = ReadBuf::new(&mut buffer);
            let cx = &mut Context::from_waker(&waker);
            Pin::new(&mut paced).poll_read(cx, &mut buffer).is_ready()
        };
        let (mut one, one_waker) = porter(&pace);
        let (mut other, other_waker) = porter(&pace);
        assert!(read());
        assert!(!read(), "neither has run");
        run(&mut one);
        run(&mut other);
        assert_eq!(reader.0.load(SeqCst), 1);
        assert!(read());
        assert!(read(), "nobody was woken");
        for waker in [&one_waker, &one_waker, &other_waker] {
            waker.lock().unwrap().as_ref().unwrap().wake_by_ref();
        }
        assert!(!read());
        run(&mut one);
        assert!(!read());
        // One that goes will not run any more.
        drop(other);
        assert_eq!(reader.0.load(SeqCst), 2);
        assert!(read());
        other_waker.lock().unwrap().take().unwrap().wake();
        assert!(read(), "there is nobody who could be woken");
    }
}
