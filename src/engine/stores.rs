//! Stores by their URLs: their tables, and documents with their histories.

pub use crate::postgres::{History, Source, StoreError, documents, history, init, put};
