"""File systems in image files, made for a test: mounted, cut from their power, mounted again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backend.servers import wait_for
from tests.conftest import mounted, require, require_programs


@dataclass(frozen=True)
class Kind:
    """A file system, and how it is made."""

    type: str
    megabytes: int
    options: tuple[str, ...] = ("-q",)
    check: tuple[str, ...] = ()
    """A command that mends what a power cut left, where that is not the mount's own work."""


EXT_CHECK = ("e2fsck", "-p", "-f")
KINDS = {
    "ext4": Kind("ext4", 64, check=EXT_CHECK),
    # Inodes of 128 bytes have room for whole seconds only, as every ext3 once had.
    "ext3": Kind("ext3", 64, ("-q", "-I", "128"), EXT_CHECK),
    "ext4-128": Kind("ext4", 64, ("-q", "-I", "128"), EXT_CHECK),
    # The smallest that their tools make.
    "xfs": Kind("xfs", 300),
    "btrfs": Kind("btrfs", 128),
}
UNDER_COPIES = Kind("xfs", 700, ("-q", "-m", "reflink=1"))
"""What an image lies on that is copied in one step."""
WHOLE_SECONDS = ["ext3", "ext4-128"]


class Image:
    """A file system in a file; mounted at `folder` whenever it is not being cut off."""

    goes_on_after_cut = False
    """Whether writers do not notice the cut, which is only seen in what comes back."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.folder = path.with_suffix(".mount")
        self._path = path
        self._kind = kind
        self._is_mounted = False
        self.folder.mkdir()
        with path.open("wb") as image:
            image.truncate(kind.megabytes << 20)
        run(f"mkfs.{kind.type}", *kind.options, path)

    def mount(self) -> None:
        run("mount", "-t", self._kind.type, "-o", "loop", self._path, self.folder)
        self._is_mounted = True

    def unmount(self) -> None:
        run("umount", self.folder)
        self._is_mounted = False
        # A mount namespace of another program may still hold a copy of the mount. A mount
        # made meanwhile would be of the file system as it is there: cut off, say.
        wait_for(self._is_let_go, f"{self._path} to be let go by the kernel")

    def _is_let_go(self) -> bool:
        found = subprocess.run(
            ["losetup", "--associated", self._path], capture_output=True, text=True, check=True
        )
        return not found.stdout

    def cut_power(self, *, flush: bool) -> None:
        """Stops the file system dead: nothing more reaches the disk.

        What it had not written yet is lost. With `flush` its journal still goes out, as if the
        cut had come a moment after one of its own commits: so a rename may last that is not
        followed by the data it is about.
        """
        run("xfs_io", "-x", "-c", "shutdown -f" if flush else "shutdown", self.folder)

    def come_back(self) -> None:
        """Mounts what a power cut left; fails if the file system itself is broken."""
        self.unmount()
        if self._kind.check:
            checked = subprocess.run(
                [*self._kind.check, self._path], capture_output=True, text=True, check=False
            )
            # 1: there were errors, all mended.
            assert checked.returncode in (0, 1), checked.stdout + checked.stderr
        self.mount()

    def remove(self) -> None:
        if self._is_mounted:
            # Lazily, so that a file that a failed test left open does not keep it.
            run("umount", "--lazy", self.folder)
        self._path.unlink()


class SnapshotImage(Image):
    """A file system whose kind cannot be stopped dead.

    Its image lies on a file system that copies a file in one step. Such a copy is what a disk
    without a cache has at that moment: what is in the memory of the file system is lost.
    """

    goes_on_after_cut = True

    def cut_power(self, *, flush: bool) -> None:
        """Copies what has reached the disk; with `flush` after all that was written has."""
        if flush:
            run("sync", "--file-system", self.folder)
        run("cp", "--reflink=always", self._path, self._path.with_suffix(".cut"))

    def come_back(self) -> None:
        """Mounts what the disk had at the cut."""
        self.unmount()
        self._path.with_suffix(".cut").replace(self._path)
        self.mount()


def run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def require_power_cuts(name: str) -> None:
    """Skips the test where the power of a kind cannot be cut, or what is left not mended."""
    require_programs("xfs_io", "losetup", *KINDS[name].check[:1])


@contextmanager
def image(parent: Path, name: str) -> Iterator[Image]:
    """A new file system of a kind, mounted below `parent` until the block ends."""
    kind = UNDER_COPIES if name == "xfs-for-copies" else KINDS[name]
    require(os.geteuid() == 0, "needs root, to mount")
    require_programs(f"mkfs.{kind.type}", "mount", "umount", "losetup")
    require(kind.type in Path("/proc/filesystems").read_text().split(), f"needs {kind.type}")
    require(Path("/dev/loop-control").exists(), "needs loop devices")
    if name == "btrfs":
        with image(parent, "xfs-for-copies") as under:
            yield from used(SnapshotImage(under.folder / f"{name}.image", kind))
    else:
        yield from used(Image(parent / f"{name}.image", kind))


def used(made: Image) -> Iterator[Image]:
    """Mounts it, and removes it afterwards."""
    try:
        made.mount()
        yield made
    finally:
        made.remove()


@contextmanager
def file_system(parent: Path, name: str) -> Iterator[Path]:
    """The folder of a new file system of a kind, or of a tmpfs."""
    if name == "tmpfs":
        with mounted(parent / name, name) as folder:
            yield folder
    else:
        with image(parent, name) as made:
            yield made.folder
