//! Who holds a lock, as the kernel tells.

use std::os::fd::AsFd;

use rustix::fs::{self, Stat};

/// The process that holds the `flock` of `file`, from the kernel's own list:
/// nothing has to be written into the lock file, and nothing in it can be stale.
/// A descriptor of the kind that only names the file (`O_PATH`) is enough.
pub(crate) fn holder(file: impl AsFd) -> Option<u32> {
    let stat = fs::fstat(file).ok()?;
    // The kernel gives the list out page by page, and can pass over a line when
    // a lock before it goes meanwhile.
    (0..3).find_map(|_| listed_holder(&std::fs::read_to_string("/proc/locks").ok()?, &stat))
}

/// A device that `stat` and the list number differently (btrfs) is passed over
/// when the inode alone decides.
fn listed_holder(list: &str, stat: &Stat) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", fs::major(stat.st_dev), fs::minor(stat.st_dev));
    let mut same_inode = None;
    for line in list.lines() {
        // 1: FLOCK  ADVISORY  WRITE 1234 fd:01:131091 0 EOF
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            continue;
        }
        let Some(pid) = fields.nth(2).and_then(|pid| pid.parse().ok()) else { continue };
        let Some((on, inode)) = fields.next().and_then(|place| place.rsplit_once(':')) else {
            continue;
        };
        if inode.parse() == Ok(stat.st_ino) {
            if on == device {
                return Some(pid);
            }
            same_inode = Some(pid);
        }
    }
    same_inode
}
