//! What the storage core asks of Python.

use std::cell::RefCell;

use pyo3::exceptions::{PyMemoryError, PyRecursionError};
use pyo3::prelude::*;

use super::documents::with_cache;
use crate::codec::{self, DecodeError};
use crate::storage::host::Host;
use crate::storage::identity::Identity;

thread_local! {
    /// What a signal handler raised while the core was asking.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// The interpreter that the core runs in. Asked without its lock.
#[derive(Debug)]
pub(super) struct Surroundings;

impl Host for Surroundings {
    fn found_corrupt(&self, identity: &Identity) -> bool {
        with_cache(|cache| cache.is_corrupt(identity))
    }

    fn parses(&self, bytes: &[u8]) -> bool {
        Python::attach(|py| match codec::decode(py, bytes) {
            Ok(_) => true,
            Err(DecodeError::Corrupt { .. }) => false,
            Err(DecodeError::Other(error)) => {
                if !error.is_instance_of::<PyMemoryError>(py)
                    && !error.is_instance_of::<PyRecursionError>(py)
                {
                    RAISED.set(Some(error));
                }
                false
            }
        })
    }
}

/// What a signal handler raised in this thread since this was last asked: to be
/// raised once the core is done.
pub(super) fn raised() -> Option<PyErr> {
    RAISED.take()
}
