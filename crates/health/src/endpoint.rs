//! The daemon's side: an endpoint that runs in a thread of its own, and takes snapshots.

use crate::commissioning::{AmbientLevels, Commissioning};
use crate::error::Error;
use crate::server;
use crate::state::State;
use cellwarden_types::BoxHealth;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Where the endpoint listens if nothing else is asked for: this machine only, 9464 being the usual port of metrics.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

/// How the endpoint works.
#[derive(Clone, Debug)]
pub struct HealthConfig {
    /// What the sensors heard at commissioning.
    pub commissioning: Vec<Commissioning>,
    /// A snapshot of this age says that the daemon hangs.
    pub stale_after: Duration,
}

impl Default for HealthConfig {
    /// Nothing to compare with, ten seconds: the daemon makes a snapshot every second.
    fn default() -> Self {
        Self { commissioning: Vec::new(), stale_after: Duration::from_secs(10) }
    }
}

#[derive(Debug, Default)]
struct Slot {
    snapshot: Option<(BoxHealth, Instant)>,
    ambient: Option<AmbientLevels>,
}

/// What the daemon's threads and the endpoint's share. The slot is held for a move, never for work.
#[derive(Debug)]
pub(crate) struct Shared {
    slot: Mutex<Slot>,
    pub(crate) filled: Notify,
    pub(crate) stop: Notify,
    state: Mutex<State>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The state, with what was published up to now. Only the endpoint's thread calls it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let Slot { snapshot, ambient } = std::mem::take(&mut *lock(&self.slot));
        let mut state = lock(&self.state);
        if let Some((snapshot, at)) = snapshot {
            state.take(snapshot, at);
        }
        if let Some(levels) = ambient {
            state.ambient(levels);
        }
        state
    }
}

/// A running endpoint. It stops when it is dropped.
#[derive(Debug)]
pub struct Health {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Health {
    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// If the address is in use or cannot be listened on, or if there can be no thread.
    pub fn start(address: SocketAddr, config: HealthConfig) -> Result<Self, Error> {
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => Error::AddressInUse { address, source },
            _ => Error::Listen { address, source },
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let no_thread = |source| Error::Thread { source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let shared = Arc::new(Shared {
            slot: Mutex::default(),
            filled: Notify::new(),
            stop: Notify::new(),
            state: Mutex::new(State::new(config.commissioning, config.stale_after)),
        });
        let theirs = Arc::clone(&shared);
        let serve = move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                server::serve(listener, theirs).await;
                Ok::<(), std::io::Error>(())
            });
            if let Err(error) = served {
                tracing::error!("the health endpoint on {bound} does not run: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("health".to_owned()).spawn(serve).map_err(no_thread)?;
        Ok(Self { shared, address: bound, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands over a snapshot: a move behind a lock that nobody holds for long. One that was not taken up yet is replaced.
    pub fn publish(&self, snapshot: BoxHealth) {
        let old = lock(&self.shared.slot).snapshot.replace((snapshot, Instant::now()));
        self.shared.filled.notify_one();
        drop(old);
    }

    /// Hands over levels of ambient carriers, likewise.
    pub fn publish_ambient(&self, levels: AmbientLevels) {
        let old = lock(&self.shared.slot).ambient.replace(levels);
        self.shared.filled.notify_one();
        drop(old);
    }

    /// Answers what was asked, for half a second at most, and ends the thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed already.
            let _ = thread.join();
        }
    }
}
