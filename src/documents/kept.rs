//! The documents that a process keeps, with what shows whether they are fresh.

use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{self, Duration};

use arc_swap::ArcSwap;

use crate::cache::{Cache, Entry, Evicted};
use crate::engine::{Instant, Key, Stamp};
use crate::settings;

/// What a kept document was made from.
#[derive(Debug)]
pub struct Origin {
    /// Which content it was.
    pub stamp: Stamp,
    /// The text, while the stamp is in its racy window or can never be trusted alone: a hit
    /// then compares this text with the content.
    pub racy_text: Option<Arc<Vec<u8>>>,
    /// When the content was read.
    pub read_at: Instant,
    /// When storage was last asked whether the content is the newest, and it was.
    pub confirmed: Confirmed,
}

/// How many writes of this process have ended.
static REPLACED: AtomicU64 = AtomicU64::new(0);

/// A question to storage: made before it is asked, since the answer is as old.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    asked: u64,
    /// [`REPLACED`] at that time.
    replaced: u64,
}

impl Question {
    /// Asked now.
    #[must_use]
    pub fn now() -> Self {
        Self { asked: micros(), replaced: REPLACED.load(Ordering::SeqCst) }
    }
}

/// The last question whose answer was that the content is the newest.
#[derive(Debug)]
pub struct Confirmed {
    /// [`NEVER`], or by a clock that cannot be set.
    asked: AtomicU64,
    replaced: u64,
}

const NEVER: u64 = 0;

impl Confirmed {
    /// By no question.
    #[must_use]
    pub const fn never() -> Self {
        Self { asked: AtomicU64::new(NEVER), replaced: 0 }
    }

    /// By the answer to a question.
    #[must_use]
    pub fn by(question: Question) -> Self {
        Self { asked: AtomicU64::new(question.asked), replaced: question.replaced }
    }

    /// By the answer to a later question too.
    pub fn again(&self, question: Question) {
        self.asked.fetch_max(question.asked, Ordering::Relaxed);
    }

    /// Whether the question was asked less than so many seconds ago.
    #[must_use]
    pub fn is_within(&self, seconds: f64) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        let ago = Duration::from_micros(micros().saturating_sub(asked));
        asked != NEVER && ago.as_secs_f64() < seconds
    }

    /// Takes it back where a save of this process came after the question: the content may be
    /// that from before the save.
    fn withdraw_if_replaced(&self) {
        // safeguard: own-save-is-never-stale
        if self.replaced != REPLACED.load(Ordering::SeqCst) {
            self.asked.store(NEVER, Ordering::Relaxed);
        }
    }
}

/// Microseconds since this was first asked; never [`NEVER`].
fn micros() -> u64 {
    static START: OnceLock<time::Instant> = OnceLock::new();
    let since = START.get_or_init(time::Instant::now).elapsed();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX).saturating_add(1)
}

/// A document in the cache.
pub type Document<V> = Entry<Key, Origin, Arc<V>>;

type Contents<V> = Cache<Key, Origin, Arc<V>>;

/// The cache of a process. No lock is held where a document can die: what a document runs
/// when it dies may come back here.
// Swappable, so that a forked child can turn away from a cache that some other thread of its
// parent was changing at that moment.
pub struct Documents<V>(LazyLock<ArcSwap<Mutex<Contents<V>>>>);

impl<V> Default for Documents<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Documents<V> {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self(LazyLock::new(ArcSwap::default))
    }

    /// Uses the cache. What leaves it is returned by `act`, to be dropped without its lock.
    pub fn with<R>(&self, act: impl FnOnce(&mut Contents<V>) -> R) -> R {
        let contents = self.0.load();
        // Short, and never while waiting for the program's lock: safe to take with that
        // lock held.
        let mut contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut contents)
    }

    /// The document of a key.
    // One call with all of it inside, whoever asks: a hit is so short that each call shows.
    #[inline(never)]
    #[must_use]
    pub fn find(&self, key: Key) -> Option<Arc<Document<V>>> {
        self.with(|cache| cache.get(key))
    }

    /// Keeps a document.
    pub fn keep(&self, path: &Path, entry: &Arc<Document<V>>) {
        let settings = settings::current();
        let evicted: Evicted<_, _, _> = self.with(|cache| {
            // Under the lock of the cache: a save that comes later drops the entry.
            entry.stamp.confirmed.withdraw_if_replaced();
            cache.insert(path, Arc::clone(entry), settings.cache_entries, settings.cache_bytes)
        });
        drop(evicted);
    }

    /// Counts what a kept document has grown by.
    pub fn grow(&self, entry: &Arc<Document<V>>, more: usize) {
        let settings = settings::current();
        let evicted: Evicted<_, _, _> = self.with(|cache| {
            cache.grow(entry, more as u64, settings.cache_entries, settings.cache_bytes)
        });
        drop(evicted);
    }

    /// Drops the document that `path` led to, and the document of `key`.
    pub fn forget(&self, path: &Path, key: Option<Key>) {
        let evicted: Evicted<_, _, _> = self.with(|cache| {
            let mut evicted = cache.remove_path(path);
            evicted.extend(key.and_then(|key| cache.remove(key)));
            evicted
        });
        drop(evicted);
    }

    /// Drops what a save at `path` has `replaced`.
    pub fn replace(&self, path: &Path, replaced: Option<Key>) {
        if let Some(key) = replaced {
            // In a store the next content has the same key.
            // safeguard: replaced-is-not-corrupt
            self.with(|cache| cache.remember_corrupt(key, false));
        }
        // Before the entry goes: whoever keeps another from now on sees it.
        REPLACED.fetch_add(1, Ordering::SeqCst);
        self.forget(path, replaced);
    }

    /// Drops every document.
    pub fn clear(&self) {
        let evicted = self.with(Cache::clear);
        drop(evicted);
    }

    /// Makes the cache before there can be a second thread or process.
    pub fn prepare(&self) {
        LazyLock::force(&self.0);
    }

    /// Called in a forked child.
    pub fn after_fork_in_child(&self) {
        let inherited = self.0.load_full();
        if inherited.try_lock().is_err() {
            // Held by a thread that this process does not have, perhaps half changed: never
            // to be touched or freed again.
            mem::forget(inherited);
            self.0.store(Arc::default());
        }
    }
}
