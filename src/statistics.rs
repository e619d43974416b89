//! Counters of what this process has done, for `stats()`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What was being done, as in `OperationType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A load.
    Read,
    /// A save, an edit, a restore.
    Write,
    /// A deletion, or the removal of backups.
    Delete,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Delete];

    /// Its value in `OperationType`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// A count that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        // Relaxed: counters are read for reports and order nothing.
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// How many kinds of failures are counted apart.
pub const FAILURE_KINDS: usize = 20;

/// Failures by operation and kind. The face has a name for each kind.
#[derive(Debug)]
pub struct Failures([[Counter; FAILURE_KINDS]; Operation::ALL.len()]);

impl Failures {
    /// Counts a failure. A kind that there is none of counts as the last.
    pub fn count(&self, operation: Operation, kind: usize) {
        self.0[operation as usize][kind.min(FAILURE_KINDS - 1)].count();
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.0.iter().flatten()
    }

    /// Those that happened.
    fn snapshot(
        &self,
        names: &[&'static str; FAILURE_KINDS],
    ) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let happened = |kinds: &[Counter; FAILURE_KINDS]| {
            let counts = names.iter().copied().zip(kinds.iter().map(Counter::get));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        Operation::ALL.map(|each| (each.name(), happened(&self.0[each as usize]))).into()
    }
}

/// Upper bounds of the buckets of a [`Latency`], in microseconds.
const BOUNDS: [u32; 10] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// How long something took, each time.
#[derive(Debug)]
pub struct Latency {
    /// The last one has no bound.
    buckets: [Counter; BOUNDS.len() + 1],
    nanoseconds: Counter,
}

impl Latency {
    const fn new() -> Self {
        let buckets = [const { Counter::new() }; BOUNDS.len() + 1];
        Self { buckets, nanoseconds: Counter::new() }
    }

    /// Counts something that began at `started` and ends now.
    pub fn observe(&self, started: Instant) {
        let taken = started.elapsed();
        let bound = |bound: &u32| taken > Duration::from_micros((*bound).into());
        self.buckets[BOUNDS.partition_point(bound)].count();
        self.nanoseconds.add(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts what is being done until the returned is dropped.
    #[must_use]
    pub fn time(&self) -> Timing<'_> {
        Timing { latency: self, started: Instant::now() }
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.buckets.iter().chain([&self.nanoseconds])
    }

    fn snapshot(&self) -> Taken {
        let counts = self.buckets.each_ref().map(Counter::get);
        let bounds = BOUNDS.map(|bound| Duration::from_micros(bound.into()).as_secs_f64());
        Taken {
            count: counts.iter().sum(),
            seconds: Duration::from_nanos(self.nanoseconds.get()).as_secs_f64(),
            buckets: bounds.into_iter().zip(counts).collect(),
        }
    }
}

/// Something that is being done, counted at its end, however it ends.
#[derive(Debug)]
pub struct Timing<'a> {
    latency: &'a Latency,
    started: Instant,
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        self.latency.observe(self.started);
    }
}

/// A [`Latency`] at one moment.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// How many times.
    pub count: u64,
    /// How long in all.
    pub seconds: f64,
    /// Upper bounds in seconds, each with how many took at most that and more
    /// than the bound before; beyond the last are the rest of `count`.
    pub buckets: Vec<(f64, u64)>,
}

/// How long what this process did has taken.
#[derive(Debug)]
pub struct Latencies {
    /// Loads that read and decoded the file. One from the cache is so short
    /// that two looks at the clock would show.
    pub read: Latency,
    /// Saves and batches of saves, with their waits, that returned.
    pub write: Latency,
    /// Deletions that returned.
    pub delete: Latency,
    /// Waits for another writer, whatever came of them.
    pub lock_wait: Latency,
}

impl Latencies {
    fn all(&self) -> [(&'static str, &Latency); 4] {
        let Self { read, write, delete, lock_wait } = self;
        [("read", read), ("write", write), ("delete", delete), ("lock_wait", lock_wait)]
    }
}

/// The latencies of this process.
pub static LATENCIES: Latencies = Latencies {
    read: Latency::new(),
    write: Latency::new(),
    delete: Latency::new(),
    lock_wait: Latency::new(),
};

/// The failures of this process.
pub static FAILURES: Failures =
    Failures([const { [const { Counter::new() }; FAILURE_KINDS] }; Operation::ALL.len()]);

/// Starts from nothing in a forked child, or what its parent did would be
/// counted once more for each child. Waits for nothing.
pub fn after_fork_in_child() {
    COUNTERS.reset();
    let latencies = LATENCIES.all().into_iter().flat_map(|(_, latency)| latency.counters());
    latencies.chain(FAILURES.counters()).for_each(Counter::reset);
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The live counters.
        #[derive(Debug)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),+ }

        /// The counters at one moment.
        #[derive(Debug, Serialize)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)+
            /// Failures by operation and name; only those that happened.
            pub failures: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
            /// How long reads, writes, deletions and waits have taken.
            pub latencies: BTreeMap<&'static str, Taken>,
            /// Documents in the cache now.
            pub cache_entries: usize,
            /// Bytes of JSON text of the documents in the cache now, and of
            /// what it keeps to copy them by.
            pub cache_bytes: u64,
        }

        /// The counters of this process.
        pub static COUNTERS: Counters = Counters { $($name: Counter::new()),+ };

        impl Counters {
            /// Reads every counter; `failures` names the kinds of failures.
            #[must_use]
            pub fn snapshot(
                &self,
                failures: &[&'static str; FAILURE_KINDS],
                cache_entries: usize,
                cache_bytes: u64,
            ) -> Snapshot {
                let latencies = LATENCIES.all().map(|(name, taken)| (name, taken.snapshot()));
                Snapshot {
                    $($name: self.$name.get(),)+
                    failures: FAILURES.snapshot(failures),
                    latencies: latencies.into(),
                    cache_entries,
                    cache_bytes,
                }
            }

            fn reset(&self) {
                $(self.$name.reset();)+
            }
        }
    };
}

counters! {
    /// Loads answered from the cache.
    hits,
    /// Loads that read and decoded the file.
    misses,
    /// Loads that compared bytes, because the file was too young to trust its stamps.
    racy_rereads,
    /// Documents pushed out of the cache by its limits.
    evictions,
    /// Saves that returned.
    saves,
    /// Batches of saves that returned.
    batches,
    /// Saves among them that found the same content in place.
    unchanged_saves,
    /// Deletions that returned.
    deletes,
    /// Saves and deletions that raised.
    write_failures,
    /// Loads that raised, or that answered with the default.
    read_failures,
    /// Bytes of JSON text saved.
    bytes_written,
    /// Bytes of JSON text read.
    bytes_read,
    /// Saves that had to wait for another writer.
    lock_waits,
    /// Decodings left to the standard library's `json`.
    decode_fallbacks,
    /// Encodings left to the standard library's `json`.
    encode_fallbacks,
    /// Temporary files of dead writers that were removed.
    leftovers_swept,
    /// Batches of dead writers that were rolled forward or back.
    recoveries,
}
