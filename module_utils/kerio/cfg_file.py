# SPDX-License-Identifier: GPL-3.0-or-later
"""mailserver.cfg on the disk: backups beside it, and a replacement that is whole or did not happen."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, CfgError
from ansible_collections.mailops.kerio.plugins.module_utils.job import boot_id, sync_folder, write_record
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_memory import digest_of

_READ_REMEDY = (
    "Set path (kerio_mailserver_cfg_path of the role) to the mailserver.cfg of the server and run the module with become"
)
_WRITE_REMEDY = "See the cause: the disk, the file system or the rights; the file was not replaced"
# Attributes that went away or that the file system does not keep; anything else that cannot be copied stops the edit.
_FORGIVEN = (errno.ENOTSUP, errno.ENODATA)
_ACL = "system.posix_acl_access"
# A write in place takes far less; a file that was changed later than this after it began is somebody else's work.
_TORN_SECONDS = 60.0


class CfgFile:
    """The file that ``path`` stands for, symbolic links resolved.

    ``journal`` is where the one kind of write that can be torn (in place, of a bind-mounted or hard-linked file) leaves the name
    of the backup until it is complete.
    """

    def __init__(self, path: str, journal: Path) -> None:
        try:
            self.path = Path(path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise CfgError(path, str(error), _READ_REMEDY) from error
        self._journal = journal
        self._new = self.path.with_name(f".{self.path.name}.kerio-archive-new")

    def read(self) -> bytes:
        """Return the bytes; raises ``CfgError``."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise CfgError(str(self.path), str(error), _READ_REMEDY) from error

    def changed_at(self) -> float:
        """Return when the file was last written or put in its place, in seconds since the epoch.

        A file that was restored from a backup may carry its old time of modification; the change of its inode cannot lie.
        """
        info = self.path.stat()
        return max(info.st_mtime, info.st_ctime)

    def identity(self) -> tuple[int, int]:
        """Return what no change of the file leaves as it is: the number of the inode and the time of its last change, in ns."""
        info = self.path.stat()
        return info.st_ino, info.st_ctime_ns

    def check_writable(self) -> None:
        """Raise ``CfgError`` when backup and replacement do not fit on the disk or cannot be written: better before the service
        stops than after."""
        needed = 3 * self.path.stat().st_size + 65536
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise CfgError(str(self.path), f"{self.path.parent} has less than {needed} bytes left", "Make room on the disk")
        with self._refusing():
            # An immutable file refuses this as it would refuse to be replaced.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CLOEXEC))
            self._new.unlink(missing_ok=True)
            self._create(self._new, b"")
            self._new.unlink()

    @contextlib.contextmanager
    def exclusive(self) -> t.Iterator[None]:
        """Keep out jobs of other state folders, whose locks are elsewhere; raises ``BusyError``.

        The lock (flock) is on the folder of the file, so it leaves nothing behind, and no server inherits it.
        """
        handle = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                cause = f"a job with another state_dir is changing it ({error.strerror}); nothing was done"
                raise BusyError(
                    str(self.path),
                    cause,
                    "Use one state_dir (kerio_mailserver_cfg_state_dir of the role) for one server",
                    holder="another state_dir",
                ) from error
            yield
        finally:
            os.close(handle)

    def backups(self) -> list[Path]:
        """Return our backups, oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.kerio-archive.*"))

    def backup(self, data: bytes, keep: int) -> Path:
        """Write ``data`` beside the file, with the same owner and mode, and remove all but the last ``keep`` backups."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = self.path.with_name(f"{self.path.name}.kerio-archive.{stamp}")
        number = 0
        while path.exists():
            number += 1
            path = self.path.with_name(f"{self.path.name}.kerio-archive.{stamp}.{number}")
        with self._refusing():
            self._create(path, data)
            # The name must be durable before a write in place relies on it.
            sync_folder(self.path.parent)
            # A clock that was set back gives the new one an older name than the others have.
            others = [other for other in self.backups() if other != path]
            for old in others[: max(len(others) + 1 - keep, 0)]:
                old.unlink()
        return path

    def write(self, data: bytes, backup: Path) -> None:
        """Replace the content by ``data``; after a ``CfgError`` the old content is there, or in ``backup`` to be restored."""
        with self._refusing():
            if self.path.stat().st_nlink > 1:
                self._write_in_place(data, backup)
            else:
                self._write_beside(data, backup)
        if self.read() != data:
            raise CfgError(str(self.path), "it reads back differently from what was written", "Check the disk")

    def torn_backup(self) -> Path | None:
        """Return the backup of a write in place that was interrupted; None when the file is whole or was written anew since.

        Raises ``CfgError`` when it is not clear which bytes are the right ones.
        """
        remedy = f"Put the file in order by hand, then remove {self._journal}"
        try:
            noted = json.loads(self._journal.read_bytes())
            backup, digests, boot = Path(noted["backup"]), list(noted["digests"]), noted["boot"]
            began = self._journal.stat().st_mtime
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CfgError(str(self.path), f"it may be torn, and {self._journal} cannot be read: {error}", remedy) from error
        if digest_of(self.read()) in digests:
            return None
        if self.path.stat().st_mtime > began + _TORN_SECONDS:
            if boot == boot_id():
                return None
            cause = f"the host went down while it was written in place, and it was written again since; before, it was {backup}"
            raise CfgError(str(self.path), cause, f"{remedy}; the server may have started on half a file")
        if not backup.exists():
            raise CfgError(str(self.path), f"it may be torn, and its backup {backup} is gone", remedy)
        return backup

    def restore_torn(self, torn: Path | None) -> None:
        """Put ``torn``, the backup of an interrupted write in place, back; forget one that the file has outlived."""
        if torn is not None:
            with self._refusing():
                data = torn.read_bytes()
            self.write(data, torn)
        self._journal.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a write that was killed left beside the file."""
        with self._refusing():
            self._new.unlink(missing_ok=True)

    def _write_beside(self, data: bytes, backup: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._new.unlink()
        try:
            self._create(self._new, data)
            self._new.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                self._new.unlink()
            if error.errno != errno.EBUSY:
                raise
            # A file that is a mount point of its own (a container's bind mount) cannot be replaced.
            self._write_in_place(data, backup)

    def _write_in_place(self, data: bytes, backup: Path) -> None:
        digests = [digest_of(backup.read_bytes()), digest_of(data)]
        write_record(self._journal, {"backup": str(backup), "digests": digests, "boot": boot_id()})
        handle = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._journal.unlink()

    def _create(self, path: Path, data: bytes) -> None:
        """Create ``path`` with ``data`` and with the owner, mode and extended attributes (so the ACL) of the file, durably."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                self._copy_rights(file.fileno())
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise

    def _copy_rights(self, target: int) -> None:
        info = self.path.stat()
        os.fchown(target, info.st_uid, info.st_gid)
        os.fchmod(target, info.st_mode & 0o7777)
        names: list[str] = []
        with _forgiving():
            names = os.listxattr(self.path)
        for name in names:
            with _forgiving():
                os.setxattr(target, name, os.getxattr(self.path, name))
        if _ACL not in names:
            # A folder with a default ACL gives one to every new file, and with it rights that the file did not grant.
            with _forgiving():
                os.removexattr(target, _ACL)

    @contextlib.contextmanager
    def _refusing(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CfgError(str(self.path), str(error), _WRITE_REMEDY) from error


@contextlib.contextmanager
def _forgiving() -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FORGIVEN:
            raise
