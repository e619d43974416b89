//! What a forked child must not inherit.
//!
//! A `flock` belongs to the open file description, which a forked child
//! shares: a child that keeps the descriptor keeps the lock, even when its
//! parent dies. So each lock's descriptor is registered here, and the child
//! closes them all. A gate makes "open and register" indivisible for a fork:
//! without it a descriptor opened by another thread at that moment would slip
//! through.

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

/// How long a fork can hold others off. Past that, what they open is the child's too.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

static GATE: RwLock<()> = RwLock::new(());
static REGISTER: Mutex<BTreeMap<u64, Slot>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The numbers of what is kept, and which [`Descriptor`] each is of. Swapped, since a fork
/// may come at any moment.
static KEPT: ArcSwapOption<BTreeMap<RawFd, u64>> = ArcSwapOption::const_empty();

/// How many there were.
static FORKS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The fork that this thread has waited for long enough.
    static TIRED_OF: Cell<Option<u64>> = const { Cell::new(None) };
    /// The gate, shut, in the thread that is forking.
    static FORKING: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// An open file that may be kept between two calls.
///
/// A program that becomes a daemon closes every descriptor that it finds, and what it
/// opens after that has their numbers. So what is kept is held against the file that it
/// was before it is used, and before it is closed. That the file is the same is not enough:
/// the next who locks it gets the number, and the lock is theirs.
#[derive(Debug)]
pub struct Descriptor {
    /// There until it is dropped.
    file: Option<File>,
    /// What tells it from every other, once it is kept.
    kept: OnceLock<KeptDescriptor>,
}

/// A descriptor that is kept between two calls.
#[derive(Debug)]
struct KeptDescriptor {
    /// Which [`Descriptor`] it is, by its number.
    id: u64,
    /// Which file it was when it began to be kept.
    key: FileKey,
    /// The path that the kernel knew it by, where there is a /proc.
    path: Option<CString>,
}

impl Descriptor {
    /// Remembers which file this is: the call in which it was opened is about to return.
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
            // A disk error has shut the file system down, which then could never be
            // unmounted. The path is the kernel's own, and no disk is asked for it.
            // safeguard: own-descriptor-on-failing-disk
            Err(_) => kept.path.is_some() && path_of(self) == kept.path,
        };
        // safeguard: own-descriptor-used
        self.file.as_ref().filter(|_| self.kept.get().is_none_or(same))
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        // The kernel gives a number anew that was closed: whoever kept it has lost it.
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
            // Closed already. Under its number is now a file of the application's, or none.
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

    /// What tells it from every other.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Uses the file, briefly: a fork waits for it. `None` in a child that was
    /// forked since: the file is not its own; and where the application has closed it.
    pub fn with<R>(&self, f: impl FnOnce(&File) -> R) -> Option<R> {
        let _gate = enter();
        locked(&self.slot).as_ref().and_then(Descriptor::own).map(f)
    }

    /// The same where the application has closed it too: there is then no file to use.
    pub fn with_or_without<R>(&self, f: impl FnOnce(Option<&File>) -> R) -> Option<R> {
        let _gate = enter();
        locked(&self.slot).as_ref().map(|descriptor| f(descriptor.own()))
    }

    /// To be called before the call that opened it returns: see [`Descriptor`].
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

/// To be called after `fork` in the child, with what else is to be let go of
/// before anybody may take a lock again.
pub fn after_in_child(forget: fn()) {
    // The gate kept every other thread out of these locks at the moment of the
    // fork, so none of them is held by a thread that the child does not have.
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

/// Holds off forks, unless this very thread is forking: then a handler that
/// runs between `before` and `after` must not wait for itself. Nor does anybody wait
/// for ever: another library's handler may be waiting for what this thread holds.
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
