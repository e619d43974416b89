//! What a batch finds out before it is decided. Once decided, a batch with a file that cannot
//! be replaced could neither be rolled forward nor rolled back.

use rustix::fs::{self, Access, AtFlags, Mode};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::{RENAME, Result};
use crate::files::sys::stat::{self, Marks};
use crate::files::target::Target;

/// Refuses a file onto which nothing can be renamed, as far as that shows beforehand. A
/// refusal by a policy shows only at the rename.
///
/// # Errors
///
/// As the rename would fail.
pub(crate) fn require_replaceable(target: &Target) -> Result<()> {
    let refused = |errno| Err(target.failed(RENAME, errno));
    let folder = &target.folder;
    let above = stat::marks(folder, "", AtFlags::EMPTY_PATH);
    let live = stat::marks(folder, &*target.name, AtFlags::SYMLINK_NOFOLLOW);
    // safeguard: mounted-file
    if live.is_some_and(|live| live.is_mounted) {
        return refused(Errno::BUSY);
    }
    // A new name may be added to an append-only folder.
    let is_closed = |above: Marks| above.is_immutable || (live.is_some() && above.is_append_only);
    // safeguard: immutable-file
    if live.is_some_and(|live| live.is_immutable || live.is_append_only)
        || above.is_some_and(is_closed)
    {
        return refused(Errno::PERM);
    }
    if let (Some(above), Some(live)) = (above, live)
        && above.mode & Mode::SVTX.as_raw_mode() != 0
        && ![above.owner, live.owner].contains(&geteuid().as_raw())
        && capabilities(None).is_ok_and(|own| !own.effective.contains(CapabilitySet::FOWNER))
    {
        return refused(Errno::PERM);
    }
    match fs::accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        // safeguard: closed-folder
        Err(errno @ (Errno::ACCESS | Errno::ROFS)) => refused(errno),
        // An old kernel cannot be asked for the effective user.
        _ => Ok(()),
    }
}
