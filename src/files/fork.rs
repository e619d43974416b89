//! Descriptors that a forked child closes.
//!
//! A `flock` belongs to the open file description, which a forked child shares: a child with
//! the descriptor holds the lock, even when its parent dies. So the descriptor of each lock
//! is registered here, and the child closes them all. A gate keeps forks out while a
//! descriptor is opened and registered: without the gate a fork in another thread could come
//! between the two, and the child would have a descriptor that is not in the register.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    TryLockError,
};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustix::fs;

use crate::files::identity::{FileKey, Identity};
use crate::files::sys::open;

type Slot = Arc<Mutex<Option<Descriptor>>>;

/// How long other threads wait for a fork. What they open after that the child has too.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

static GATE: RwLock<()> = RwLock::new(());
static REGISTER: Mutex<BTreeMap<u64, Slot>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The numbers of kept descriptors, and the id of the [`Descriptor`] of each. Swapped as a
/// whole, since a fork may come at any moment.
static KEPT: ArcSwapOption<BTreeMap<RawFd, u64>> = ArcSwapOption::const_empty();

/// How many forks there were.
static FORKS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The number of the fork that this thread does not wait for any more.
    static TIRED_OF: Cell<Option<u64>> = const { Cell::new(None) };
    /// The gate, shut, in the thread that is forking.
    static FORKING: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// An open file that may be kept between two calls.
///
/// A program that becomes a daemon closes every descriptor that it finds, and files that it
/// opens later get the same numbers. So a kept descriptor is compared with the file that it
/// was of, before each use and before the close. The same file is not enough: the number may
/// by then be another [`Descriptor`] of that file, whose lock is not ours.
#[derive(Debug)]
pub struct Descriptor {
    /// There until it is dropped.
    file: Option<File>,
    /// What tells this descriptor from every other, once it is kept.
    kept: OnceLock<KeptDescriptor>,
}

/// A descriptor that is kept between two calls.
#[derive(Debug)]
struct KeptDescriptor {
    /// The id of the [`Descriptor`].
    id: u64,
    /// Which file it was when it began to be kept.
    key: FileKey,
    /// The path that the kernel had for the file then, where there is a /proc.
    path: Option<CString>,
}

impl Descriptor {
    /// Remembers which file this is. To be called before the call that opened it returns.
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn keep(&self) -> rustix::io::Result<()> {
        let stat = fs::fstat(self)?;
        self.kept.get_or_init(|| {
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            set_owner(self.as_raw_fd(), Some(id));
            KeptDescriptor { id, key: Identity::of(&stat).key(), path: path_of(self) }
        });
        Ok(())
    }

    /// The file, if the number is still this file's.
    #[must_use]
    pub fn own(&self) -> Option<&File> {
        let same = |kept: &KeptDescriptor| match fs::fstat(self) {
            // safeguard: own-lock-under-the-number
            _ if owner(self.as_raw_fd()) != Some(kept.id) => false,
            Ok(stat) => Identity::of(&stat).key() == kept.key,
            // After a disk error no `stat` succeeds on that file system, and a descriptor that
            // is never closed would keep it from being unmounted. The path comes from the
            // kernel's memory.
            // safeguard: own-descriptor-on-failing-disk
            Err(_) => kept.path.is_some() && path_of(self) == kept.path,
        };
        // safeguard: own-descriptor-used
        self.file.as_ref().filter(|_| self.kept.get().is_none_or(same))
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        // The kernel has given this number: any kept descriptor with it was closed.
        set_owner(file.as_raw_fd(), None);
        Self { file: Some(file), kept: OnceLock::new() }
    }
}

impl Deref for Descriptor {
    type Target = File;

    #[allow(clippy::expect_used, reason = "only `drop` takes the file away")]
    fn deref(&self) -> &File {
        self.file.as_ref().expect("a descriptor that is not dropped yet has its file")
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // safeguard: own-descriptor-closed
        if self.own().is_none()
            && let Some(file) = self.file.take()
        {
            // The application has closed it. The number is now another file's, or nobody's.
            let _ = file.into_raw_fd();
        } else if self.kept.get().is_some() {
            set_owner(self.as_raw_fd(), None);
        }
    }
}

fn path_of(file: &File) -> Option<CString> {
    open::path_of(file).ok()
}

fn owner(number: RawFd) -> Option<u64> {
    KEPT.load().as_ref().and_then(|kept| kept.get(&number).copied())
}

fn set_owner(number: RawFd, id: Option<u64>) {
    if owner(number) == id {
        return;
    }
    KEPT.rcu(|kept| {
        let mut kept = kept.as_deref().cloned().unwrap_or_default();
        match id {
            Some(id) => kept.insert(number, id),
            None => kept.remove(&number),
        };
        Some(Arc::new(kept))
    });
}

/// An open file that a forked child closes at once.
#[derive(Debug)]
pub struct CloseOnFork {
    id: u64,
    slot: Slot,
}

impl CloseOnFork {
    /// Opens a file and registers it, in one step as seen from a fork.
    ///
    /// # Errors
    ///
    /// Whatever `open` answers with.
    pub fn open<E>(open: impl FnOnce() -> Result<File, E>) -> Result<Self, E> {
        let _gate = enter();
        let slot = Arc::new(Mutex::new(Some(Descriptor::from(open()?))));
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        locked(&REGISTER).insert(id, Arc::clone(&slot));
        Ok(Self { id, slot })
    }

    /// The id of this file in the register.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Uses the file, briefly, since a fork waits for that. `None` in a child that was forked
    /// since, where the file is the parent's, and where the application has closed the file.
    pub fn with<R>(&self, f: impl FnOnce(&File) -> R) -> Option<R> {
        let _gate = enter();
        locked(&self.slot).as_ref().and_then(Descriptor::own).map(f)
    }

    /// The same, but also where the application has closed the file: `f` then gets no file.
    pub fn with_or_without<R>(&self, f: impl FnOnce(Option<&File>) -> R) -> Option<R> {
        let _gate = enter();
        locked(&self.slot).as_ref().map(|descriptor| f(descriptor.own()))
    }

    /// Remembers which file this is. To be called before the call that opened it returns: see
    /// [`Descriptor`].
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn keep(&self) -> rustix::io::Result<()> {
        let _gate = enter();
        locked(&self.slot).as_ref().map_or(Ok(()), Descriptor::keep)
    }
}

impl Drop for CloseOnFork {
    fn drop(&mut self) {
        let _gate = enter();
        locked(&REGISTER).remove(&self.id);
    }
}

/// To be called before `fork`, in the forking thread, with no Python lock held.
pub fn before() {
    let guard = GATE.write().unwrap_or_else(PoisonError::into_inner);
    FORKS.fetch_add(1, Ordering::SeqCst);
    // safeguard: fork-keeps-others-from-opening
    FORKING.with(|forking| *forking.borrow_mut() = Some(guard));
}

/// To be called after `fork` in the parent.
pub fn after_in_parent() {
    FORKING.with(|forking| forking.borrow_mut().take());
}

/// To be called after `fork` in the child. `forget` runs before any thread may take a lock.
pub fn after_in_child(forget: fn()) {
    // At the moment of the fork the gate kept every other thread out of these mutexes. So no
    // mutex is held by a thread that the child does not have.
    for slot in std::mem::take(&mut *locked(&REGISTER)).values() {
        // safeguard: fork-handler
        locked(slot).take();
    }
    forget();
    FORKING.with(|forking| forking.borrow_mut().take());
}

/// Whether this thread is between `before` and `after`, in a handler.
#[must_use]
pub fn is_forking() -> bool {
    FORKING.with(|forking| forking.borrow().is_some())
}

/// Holds off forks while the guard lives. No guard in the thread that is forking: a handler
/// between `before` and `after` must not wait for itself. Nor after [`PATIENCE`]: another
/// library's fork handler may be waiting for something that this thread holds.
fn enter() -> Option<RwLockReadGuard<'static, ()>> {
    if is_forking() {
        return None;
    }
    let mut pause = FIRST_PAUSE;
    let mut waited = Duration::ZERO;
    loop {
        match GATE.try_read() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        let fork = FORKS.load(Ordering::SeqCst);
        // safeguard: fork-patience
        if waited >= PATIENCE || TIRED_OF.get() == Some(fork) {
            TIRED_OF.set(Some(fork));
            return None;
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
