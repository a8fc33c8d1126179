//! The listener: so many connections and no more, and none that only sits there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Accepts a bounded number of connections; further ones wait in the kernel's queue.
pub(super) struct Listener {
    inner: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Listener {
    pub(super) fn new(inner: TcpListener, connections: usize, patience: Duration) -> Self {
        Self {
            inner,
            places: Arc::new(Semaphore::new(connections)),
            patience,
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Patient;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Patient, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = self.places.clone().acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.inner.accept().await {
                Ok((stream, from)) => {
                    let _ = stream.set_nodelay(true);
                    let sleep = Box::pin(tokio::time::sleep(self.patience));
                    return (
                        Patient {
                            stream,
                            sleep,
                            patience: self.patience,
                            _place: place,
                        },
                        from,
                    );
                }
                // Out of descriptors, or the peer is gone already: do not spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends when nothing could be written to it for a while. One rule covers a
/// head or body that arrives in drops, an idle connection and a browser that does not read:
/// whoever asks properly is answered within that time, and event streams write every second.
pub(super) struct Patient {
    stream: TcpStream,
    sleep: Pin<Box<Sleep>>,
    patience: Duration,
    _place: OwnedSemaphorePermit,
}

impl Patient {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.sleep.as_mut().poll(cx).is_ready()
    }
}

fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return over();
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return over();
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(_)) = written {
            let until = Instant::now() + self.patience;
            self.sleep.as_mut().reset(until);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return over();
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
