//! Which folder lies in which store.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::postgres::document::Document;
use crate::postgres::store::Store;

/// A folder, and the store that its documents lie in.
#[derive(Debug)]
struct Mapped {
    folder: PathBuf,
    store: Arc<Store>,
}

/// The longest folders first.
static MAPPED: ArcSwapOption<Vec<Mapped>> = ArcSwapOption::const_empty();

/// Whether any folder is mapped: all that a program without stores pays for them.
static ANY: AtomicBool = AtomicBool::new(false);

/// Whether any folder lies in a store.
#[inline]
pub(crate) fn is_any_mapped() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// Puts stores in force, each with its folder and URL, in place of all others.
///
/// # Errors
///
/// The folder whose URL cannot be used, and why; nothing is changed.
pub(crate) fn configure(stores: Vec<(PathBuf, String)>) -> Result<(), (PathBuf, String)> {
    let before = MAPPED.load_full();
    let mut mapped = Vec::with_capacity(stores.len());
    for (folder, url) in stores {
        let store = Store::new(&url).map_err(|reason| (folder.clone(), reason))?;
        // A store that stays keeps its connections, and what the cache has of it.
        let same = |mapped: &&Mapped| mapped.store.id == store.id;
        let kept = before.iter().flat_map(|before| before.iter()).find(same);
        let store = kept.map_or_else(|| Arc::new(store), |kept| Arc::clone(&kept.store));
        mapped.push(Mapped { folder: absolute(&folder), store });
    }
    mapped.sort_by_key(|mapped| std::cmp::Reverse(mapped.folder.as_os_str().len()));
    ANY.store(!mapped.is_empty(), Ordering::Relaxed);
    MAPPED.store((!mapped.is_empty()).then(|| Arc::new(mapped)));
    Ok(())
}

/// The document at `path`, if it lies in a store.
#[cold]
#[must_use]
pub(crate) fn document_at(path: &Path) -> Option<Document> {
    let mapped = MAPPED.load();
    let mapped = mapped.as_deref()?;
    let path = absolute(path);
    // safeguard: longest-folder
    mapped.iter().find_map(|mapped| {
        let name = path.strip_prefix(&mapped.folder).ok()?;
        Some(Document::new(Arc::clone(&mapped.store), name.to_path_buf()))
    })
}

/// The path without `.`, `..` and doubled slashes, as Python's `abspath`: symlinks are not
/// followed.
fn absolute(path: &Path) -> PathBuf {
    let start = if path.is_absolute() {
        PathBuf::new()
    } else {
        // Where the working directory is gone, a relative path lies nowhere.
        std::env::current_dir().unwrap_or_default()
    };
    let mut plain = start;
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if plain != Path::new("/") {
                    plain.pop();
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
            Component::RootDir => plain.push(OsStr::new("/")),
            Component::Normal(part) => plain.push(part),
        }
    }
    plain
}
