//! Counters of what this process has done, for `stats()`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

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
            /// Documents in the cache now.
            pub cache_entries: usize,
            /// Bytes of JSON text of the documents in the cache now, and of
            /// what it keeps to copy them by.
            pub cache_bytes: u64,
        }

        /// The counters of this process.
        pub static COUNTERS: Counters = Counters { $($name: Counter(AtomicU64::new(0))),+ };

        impl Counters {
            /// Reads every counter.
            #[must_use]
            pub fn snapshot(&self, cache_entries: usize, cache_bytes: u64) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)+ cache_entries, cache_bytes }
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
    /// Batches of dead writers that were completed or taken back.
    recoveries,
}
