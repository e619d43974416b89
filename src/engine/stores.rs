//! Stores by their URLs: their tables, and documents with their histories.

pub use crate::postgres::{History, StoreError, documents, history, init, put};
