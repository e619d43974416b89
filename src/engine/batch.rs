//! Several documents as one change.

use crate::engine::Engine;
use crate::engine::signals::Signals;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result};
use crate::files::batch::commit;
#[cfg(feature = "postgres")]
use crate::postgres;

pub use crate::files::batch::commit::Save;

/// Replaces the content of several documents, or of none.
///
/// # Errors
///
/// As for [`commit::save_many`].
pub fn save_many(
    saves: &[Save<'_>],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Vec<Written>> {
    let Some(first) = saves.first() else { return Ok(Vec::new()) };
    match Engine::of(first.path) {
        Engine::Files => {
            require_one_store(saves, |engine| matches!(engine, Engine::Files))?;
            commit::save_many(saves, options, signals)
        }
        #[cfg(feature = "postgres")]
        Engine::Postgres(first) => {
            let mut documents = Vec::with_capacity(saves.len());
            require_one_store(saves, |engine| match engine {
                Engine::Postgres(document) if document.is_beside(&first) => {
                    documents.push(document.clone());
                    true
                }
                _ => false,
            })?;
            postgres::save_many(&documents, saves, options, signals)
        }
    }
}

/// Refuses a batch with a document that does not lie with the first.
fn require_one_store(
    saves: &[Save<'_>],
    mut is_with_first: impl FnMut(&Engine) -> bool,
) -> Result<()> {
    // safeguard: batch-in-one-store
    match saves.iter().find(|save| !is_with_first(&Engine::of(save.path))) {
        None => Ok(()),
        Some(other) => Err(Error::SeveralStores {
            path: other.path.to_path_buf(),
            twin: saves[0].path.to_path_buf(),
        }),
    }
}
