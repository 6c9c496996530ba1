# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive needs of the file system below it: each thing tried, each failure one clear error."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError

# f_type of statfs(2). SQLite's WAL needs shared memory between processes, and locks that these do not give reliably.
NETWORK_FILE_SYSTEMS = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9P",
    0x65735546: "FUSE",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x00C36400: "Ceph",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x0BD00BD0: "Lustre",
    0x786F4256: "VirtualBox shared folder",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
}
MEMORY_FILE_SYSTEMS = {0x01021994: "tmpfs", 0x858458F6: "ramfs"}
LONGEST_NAME = 255
MINIMUM_INODES = 10_000
PROBE = ".probe"
_NO_ARCHIVE = "Create the archive with archive_store, or mount its disk"

_REMEDIES = {
    errno.ENOSPC: "Make room on that file system (blocks or inodes), then run again: what was committed is untouched",
    errno.EDQUOT: "Raise the quota of the archive's owner, then run again: what was committed is untouched",
    errno.EROFS: "Mount the file system writable; look into the kernel log for the reason",
    errno.EACCES: "Give the user that runs archiving the right to write there",
    errno.EPERM: "Give the user that runs archiving the right to write there",
    errno.ELOOP: "Take away the symbolic link, or those that lead in a circle",
    errno.ENAMETOOLONG: "Shorten the path of the archive root, or exclude or rename that folder on the server",
    errno.EIO: "Check the disk and the kernel log before the next run",
    errno.EMFILE: "Raise the limit of open files for the user that runs archiving",
}


def os_failure(error: OSError, subject: str) -> StoreError:
    """The StoreError for what the operating system said about ``subject``."""
    remedy = _REMEDIES.get(error.errno or 0, "Check that file and its file system, then run again")
    return StoreError(subject, error.strerror or str(error), remedy, errno=error.errno)


@dataclass(frozen=True)
class Space:
    """Free space of a file system for an ordinary user; ``inodes`` is None where it does not count them."""

    bytes: int
    inodes: int | None


def space(path: str) -> Space:
    """Free space at ``path``."""
    figures = os.statvfs(path)
    return Space(figures.f_bavail * figures.f_frsize, figures.f_favail if figures.f_files else None)


def file_system_type(path: str) -> int:
    """``f_type`` of statfs(2), 0 when it cannot be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "statfs"):
        return 0
    buffer = ctypes.create_string_buffer(512)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    width = ctypes.sizeof(ctypes.c_long)  # f_type is the first member and as wide as a machine word
    return int.from_bytes(buffer.raw[:width], "little") & 0xFFFFFFFF


def check_root(root: str, missing: str = _NO_ARCHIVE) -> None:
    """Raise unless ``root`` is an absolute path of a directory that this process can write to; ``missing`` is the remedy."""
    if not root.startswith("/"):
        raise InputError("root", f"{root!r} is not an absolute path", "Give the archive root as an absolute path")
    try:
        mode = Path(root).stat().st_mode
    except FileNotFoundError as error:
        raise StoreError(root, error.strerror or "not found", missing) from error
    except OSError as error:
        raise os_failure(error, root) from error
    if not stat.S_ISDIR(mode):
        raise StoreError(root, "it is not a directory", "Give the path of a directory as the archive root")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(root).f_flag & os.ST_RDONLY else errno.EACCES
        raise os_failure(OSError(code, os.strerror(code), root), root)


def check_mounted(root: str, mount_point: str) -> None:
    """InputError unless ``root`` lies in ``mount_point``, StoreError unless something is mounted there."""
    if Path(os.path.realpath(mount_point)) not in (place := Path(os.path.realpath(root)), *place.parents):
        remedy = "Give the directory on which the disk of the archive is mounted"
        raise InputError("mount_point", f"the archive root {root} is not in {mount_point}", remedy)
    if not os.path.ismount(mount_point):
        remedy = "Mount the disk of the archive, then run again: nothing was made in its place"
        raise StoreError(mount_point, "no disk is mounted there", remedy)


def check_archive(root: str) -> None:
    """Raise unless ``root`` is an archive of our format, in which this process can write."""
    check_root(root)
    if not check_format(root):
        raise StoreError(root, "it holds no archive", _NO_ARCHIVE)


def check_format(root: str) -> bool:
    """True: an archive of our format. False: an empty directory, or one in which an archive was begun. Else StoreError."""
    path = Path(root, layout.FORMAT_FILE)
    try:
        text = _beginning(path).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        foreign = sorted(entry.name for entry in Path(root).iterdir() if not _begun(entry))
        if not foreign:
            return False
        remedy = "Give an empty directory or an archive as the archive root"
        raise StoreError(root, f"it is not empty and holds no archive (found {', '.join(foreign[:3])})", remedy) from None
    except OSError as error:
        raise os_failure(error, str(path)) from error
    if text != layout.FORMAT:
        remedy = "Use the release of this project that wrote the archive, or a newer one that can migrate it"
        raise StoreError(str(path), f"the archive's format is {text!r}, this release knows {layout.FORMAT!r}", remedy)
    return True


def _beginning(path: Path) -> bytes:
    """Root asks too: a link would have it tell what only root may read, and it would wait at a pipe for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def _begun(entry: Path) -> bool:
    """Whether this is what making an archive leaves when it is cut short: the format file comes last."""
    if entry.name in layout.SKELETON:
        return entry.is_dir() and not any(files for _path, _folders, files in os.walk(entry))
    return entry.name in (PROBE, "lost+found", layout.LOCK_FILE, f"{layout.FORMAT_FILE}.tmp")


def check_owner(root: str) -> None:
    """Raise when others may write to the root: whoever can replace objects can forge mail."""
    mode = Path(root).stat().st_mode
    if mode & stat.S_IWOTH:
        raise StoreError(root, f"everybody may write to it (mode {stat.S_IMODE(mode):04o})", "Take that right away (mode 2750)")


def check_space(root: str, reserve: int) -> Space:
    """Raise when fewer than ``reserve`` bytes or too few inodes are free; return what is free."""
    try:
        free = space(root)
    except OSError as error:
        raise os_failure(error, root) from error
    if free.bytes < reserve:
        raise StoreError(
            root,
            f"{free.bytes:,} bytes are free, the reserve is {reserve:,}",
            "Make room or extend the file system; archiving goes on where it stopped",
            free=free.bytes,
        )
    if reserve and free.inodes is not None and free.inodes < MINIMUM_INODES:
        raise StoreError(
            root,
            f"{free.inodes:,} inodes are free, each message needs one",
            "Use a file system with more inodes (ext4: mkfs -i 4096) or one that does not count them",
            free_inodes=free.inodes,
        )
    return free


def check_network(root: str, *, allowed: bool) -> None:
    """Raise for a network file system unless the operator allows it."""
    kind = NETWORK_FILE_SYSTEMS.get(file_system_type(root))
    if kind is not None and not allowed:
        raise StoreError(
            root,
            f"it lies on a network file system ({kind}), where SQLite's catalog and durable writes are not safe",
            "Use a local file system, or set allow_network_file_system if its locks and fsync are known to work",
            file_system=kind,
        )


def memory_warning(root: str) -> str | None:
    """What to tell an operator whose archive lies in memory: a try is welcome to, mail that counts is not."""
    kind = MEMORY_FILE_SYSTEMS.get(file_system_type(root))
    return f"{root}: it lies on {kind}, in memory, and is gone after a restart. Use a disk for mail that counts" if kind else None


class _Probe(t.NamedTuple):
    """One thing to try in a directory: ``run`` raises OSError or returns a cause when the file system is not fit."""

    run: t.Callable[[Path], str | None]
    what: str
    remedy: str


def _write_and_sync(folder: Path) -> str | None:
    for path, flags in ((folder / "a.probe", os.O_WRONLY | os.O_CREAT | os.O_EXCL), (folder, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o440)
        try:
            if flags & os.O_WRONLY:
                os.write(descriptor, b"probe")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return None


def _long_name(folder: Path) -> str | None:
    (folder / ("n" * LONGEST_NAME)).touch()
    return None


def _case(folder: Path) -> str | None:
    return "it takes upper and lower case for the same" if (folder / "A.PROBE").exists() else None


def _hard_link(folder: Path) -> str | None:
    os.link(folder / "a.probe", folder / "b.probe")
    return None if (folder / "a.probe").stat().st_nlink == 2 else "a hard link was made, but the file does not count it"


def _mode(folder: Path) -> str | None:
    mode = stat.S_IMODE((folder / "a.probe").stat().st_mode)
    return None if mode == 0o440 else f"a file made with mode 0440 has {mode:04o}"


_OTHER_FS = "Use a local file system for the archive: ext4, xfs or btrfs"
_PROBES = (
    _Probe(_write_and_sync, "a file cannot be written and made durable there", _OTHER_FS),
    _Probe(_mode, "it does not keep permissions", _OTHER_FS),
    _Probe(_long_name, f"it does not take names of {LONGEST_NAME} bytes", _OTHER_FS),
    _Probe(_case, "it is case-insensitive", "Use a case-sensitive file system or directory"),
    _Probe(_hard_link, "it has no hard links", _OTHER_FS),
)


def probe(root: str) -> None:
    """Try in ``root`` all that the store does; StoreError names the first thing that does not work. Leaves nothing behind."""
    folder = Path(root, PROBE)
    previous = os.umask(0)
    try:
        _remove(folder)  # what a crash left
        folder.mkdir(mode=0o700)
        try:
            for check in _PROBES:
                _run_probe(check, folder, root)
        finally:
            _remove(folder)
    except OSError as error:
        raise os_failure(error, root) from error
    finally:
        os.umask(previous)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _run_probe(check: _Probe, folder: Path, root: str) -> None:
    try:
        cause = check.run(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        cause = error.strerror or str(error)
    if cause is not None:
        raise StoreError(root, f"the file system is not fit for an archive: {check.what} ({cause})", check.remedy)
