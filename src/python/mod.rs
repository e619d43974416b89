//! The face: converts arguments, releases the interpreter, calls the core,
//! converts back. `python/oasis_data/` gives names, defaults and docs to what
//! stands here.

mod advice;
mod arguments;
mod batching;
mod coding;
mod collecting;
mod content;
mod editing;
mod encoding;
mod exceptions;
mod gil;
mod host;
mod inspecting;
mod interpreter;
mod judging;
mod loading;
mod owner;
mod process;
mod restoring;
mod saving;
mod stamping;
#[cfg(feature = "postgres")]
mod transfer;
mod watching;

use pyo3::prelude::*;

/// The private native module, `oasis_data._native`. The codec borrows from containers
/// that nobody else changes meanwhile: an interpreter that can do without its lock
/// has to keep it.
#[pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::batching::{give_up, save_many};
    #[pymodule_export]
    use super::coding::{Text, decode, encode, place, place_of_no_json};
    #[pymodule_export]
    use super::collecting::collect_locks;
    #[pymodule_export]
    use super::editing::Edit;
    #[pymodule_export]
    use super::inspecting::{
        backup_names, inspect, interrupted_batches, is_held, parse_backup_name,
    };
    #[pymodule_export]
    use super::judging::use_rules;
    #[pymodule_export]
    use super::loading::{
        clear, invalidate, is_cached, load, load_many, load_measured, load_with_version,
    };
    #[pymodule_export]
    use super::loading::{is_in_store, stored_status};
    #[pymodule_export]
    use super::process::{configure, stats};
    #[pymodule_export]
    use super::restoring::{list_backups, prune_backups, restore_backup};
    #[pymodule_export]
    use super::saving::{delete, save};
    #[pymodule_export]
    use super::stamping::FileStamp;
    #[cfg(feature = "postgres")]
    #[pymodule_export]
    use super::transfer::{init_store, store_documents, store_history, store_put};
    #[pymodule_export]
    use super::watching::State;
    #[pymodule_export]
    use crate::codec::EncodeOptions;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::process::require_first_interpreter(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("MISSING", crate::engine::MISSING)?;
        module.add("SIDECAR", crate::engine::SIDECAR)?;
        super::host::prepare(module.py())?;
        super::owner::prepare(module.py())?;
        super::gil::register(module.py())?;
        super::process::register_fork_handlers(module.py())
    }
}
