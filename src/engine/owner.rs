//! Who releases a lock that outlives the call that took it.

use std::fmt::Debug;

use crate::error::Standstill;

/// Who releases a lock that outlives the call that took it.
pub trait Owner: Debug + Send + Sync {
    /// Why the calling thread, which took the lock, would wait for itself; nothing where
    /// another thread may release the lock.
    fn standstill(&self) -> Option<Standstill>;
}
