# SPDX-License-Identifier: GPL-3.0-or-later
"""Placements: hard links to objects in the Maildir trees of the users."""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import Objects

FOLDER_MODE = 0o750
PATH_BYTES = 4095  # Linux's PATH_MAX without the NUL at its end
PLACEMENT_BYTES = 160  # the longest name of a placement: a date, a digest and two sizes


class Places:
    """The trees below ``mail/``."""

    def __init__(self, root: str, objects: Objects, written: Written) -> None:
        self.root = root
        self._objects = objects
        self._written = written
        self._made: set[str] = set()
        self._copies: dict[bytes, int] = {}  # the inode of a digest that still takes links, where it is not the first

    def place(self, digest: bytes, directory: str, name: str) -> bool:
        """See ``Store.place``."""
        target = f"{self.root}/{directory}/cur/{name}"
        try:
            if directory not in self._made:
                self.make_folder(directory)
            created = self._link(digest, target)
        except FileNotFoundError as error:
            path = f"{self.root}/{layout.object_path(digest)}"
            raise StoreError(
                path, "the object to file is not there", "Restore it from a backup of the archive, then archive again"
            ) from error
        except OSError as error:
            raise os_failure(error, target) from error
        self._written.directories.add(f"{directory}/cur")
        return created

    def fits(self, directory: str) -> bool:
        """See ``Store.fits``."""
        return len(os.fsencode(f"{self.root}/{directory}/cur/")) + PLACEMENT_BYTES <= PATH_BYTES

    def unplace(self, directory: str, name: str) -> bool:
        """See ``Store.unplace``."""
        target = f"{self.root}/{directory}/cur/{name}"
        try:
            Path(target).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise os_failure(error, target) from error
        self._written.directories.add(f"{directory}/cur")
        return True

    def doom(self, directory: str, name: str) -> None:
        """See ``Store.doom``. A sweep looks at directories that changed since the last commit, and in them at links that did."""
        path = Path(self.root, directory, "cur", name)
        try:
            found = path.stat()
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.utime(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_failure(error, str(path)) from error
        self._written.files.append(f"{directory}/cur/{name}")
        self._written.directories.add(f"{directory}/cur")

    def make_folder(self, directory: str) -> None:
        """Make a folder with cur, new and tmp, its parents, and the user's top folder and its INBOX, which have these too.

        Dovecot refuses to select a folder without one of the three, and cannot make them itself in a tree that it may not write.
        Every client selects INBOX, even where all mail is filed below the address of its mailbox.
        """
        parts = directory.split("/")
        try:
            self._make("/".join(parts[:2]), maildir=True)
            self._make("/".join((*parts[:2], layout.INBOX)), maildir=True)
            for depth in range(3, len(parts) + 1):
                self._make("/".join(parts[:depth]), maildir=depth == len(parts))
        except OSError as error:
            raise os_failure(error, f"{self.root}/{directory}") from error
        self._made.add(directory)

    def _make(self, directory: str, *, maildir: bool) -> None:
        wanted = [directory, *(f"{directory}/{part}" for part in layout.MAILDIR_PARTS)] if maildir else [directory]
        for path in wanted:
            try:
                Path(self.root, path).mkdir(FOLDER_MODE)
            except FileExistsError:
                continue
            self._written.directories.update((path, path[: path.rindex("/")]))

    def _link(self, digest: bytes, target: str) -> bool:
        while True:
            copy = self._copies.get(digest, 0)
            try:
                os.link(f"{self.root}/{layout.object_path(digest, copy)}", target)
            except FileExistsError:
                return self._adopt(digest, copy, target)
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
                # The inode has all the links that the file system allows (65,000 on ext4): go on with another one.
                self._objects.ensure_copy(digest, copy + 1)
                self._copies[digest] = copy + 1
                continue
            return True

    def _adopt(self, digest: bytes, copy: int, target: str) -> bool:
        """Believe an existing link when it is an inode of this object or holds its bytes; else put the object in its place."""
        existing = Path(target)
        source = Path(self.root, layout.object_path(digest, copy))
        if existing.samefile(source) or self._objects.file_intact(existing, digest):
            return False
        temporary = Path(self.root, layout.staged_link(os.getpid(), existing.name))
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
        temporary.replace(existing)
        return True
