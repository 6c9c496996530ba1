# SPDX-License-Identifier: GPL-3.0-or-later
"""mailserver.cfg on the disk: backups beside it, and a replacement that is whole or did not happen."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import CfgError
from ansible_collections.mailops.kerio.plugins.module_utils.job import sync_folder, write_record

_READ_REMEDY = "Set path to the mailserver.cfg of the server and run the module with become"
_WRITE_REMEDY = "See the cause: the disk, the file system or the rights; the file was not replaced"
# Attributes that went away or that the file system does not keep; anything else that cannot be copied stops the edit.
_FORGIVEN = (errno.ENOTSUP, errno.ENODATA)


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
        """Return when the file was last written, in seconds since the epoch."""
        return self.path.stat().st_mtime

    def check_room(self) -> None:
        """Raise ``CfgError`` when backup and replacement do not fit on the disk: better before the service stops than after."""
        needed = 3 * self.path.stat().st_size + 65536
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise CfgError(str(self.path), f"{self.path.parent} has less than {needed} bytes left", "Make room on the disk")

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
            for old in self.backups()[:-keep]:
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
        """Return the backup of a write in place that was interrupted; the file itself may be torn then."""
        try:
            return Path(json.loads(self._journal.read_bytes())["backup"])
        except FileNotFoundError:
            return None

    def restore_torn(self) -> None:
        """Put the backup of an interrupted write in place back, if there was one."""
        torn = self.torn_backup()
        if torn is not None:
            with self._refusing():
                data = torn.read_bytes()
            self.write(data, torn)
            with contextlib.suppress(FileNotFoundError):
                self._journal.unlink()

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
        write_record(self._journal, {"backup": str(backup)})
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
        for name in os.listxattr(self.path):
            try:
                os.setxattr(target, name, os.getxattr(self.path, name))
            except OSError as error:
                if error.errno not in _FORGIVEN:
                    raise

    @contextlib.contextmanager
    def _refusing(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CfgError(str(self.path), str(error), _WRITE_REMEDY) from error
