//! What a batch finds out before it is decided. Once decided, a batch with a file that cannot
//! be replaced could neither be rolled forward nor rolled back.

use std::ffi::OsStr;

use rustix::fs::{self, Access, AtFlags, Mode, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::{RENAME, Result};
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
    let fields = StatxFlags::MODE | StatxFlags::UID;
    let told = |name: &OsStr, flags| fs::statx(folder, name, flags, fields).ok();
    let above = told(OsStr::new(""), AtFlags::EMPTY_PATH);
    let live = told(&target.name, AtFlags::SYMLINK_NOFOLLOW);
    let is = |stat: Option<Statx>, attributes: StatxAttributes| {
        stat.is_some_and(|stat| stat.stx_attributes.intersects(attributes))
    };
    // safeguard: mounted-file
    if is(live, StatxAttributes::MOUNT_ROOT) {
        return refused(Errno::BUSY);
    }
    let marked = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let closed = if live.is_some() { marked } else { StatxAttributes::IMMUTABLE };
    // safeguard: immutable-file
    if is(live, marked) || is(above, closed) {
        return refused(Errno::PERM);
    }
    if let (Some(above), Some(live)) = (above, live)
        && u32::from(above.stx_mode) & Mode::SVTX.as_raw_mode() != 0
        && ![above.stx_uid, live.stx_uid].contains(&geteuid().as_raw())
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
