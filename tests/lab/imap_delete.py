# SPDX-License-Identifier: GPL-3.0-or-later
"""What \\Deleted does. AutoExpungeOnDelete 1: the message goes to Deleted Items (or, from there, for good); 0: plain IMAP.

Sheet 4.3. When the move happens is unknown: switch `delete_moment`, at STORE or at EXPUNGE/CLOSE.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.lab import imap_link, imap_names
from tests.lab.dovecot import mailbox_name
from tests.lab.imap_link import Link
from tests.lab.imap_wire import Command, tokens

if TYPE_CHECKING:
    from tests.lab.imap_session import Session

SETS_DELETED = re.compile(rb"\A(\S+)\s+(?:\([^)]*\)\s+)?\+?FLAGS(?:\.SILENT)?\s.*\\Deleted\b", re.IGNORECASE)


class Deleting:
    """The delete behaviour of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def _moves_at(self, moment: str) -> bool:
        state = self.session.state
        open_for_writing = self.session.folder is not None and not self.session.read_only
        return bool(open_for_writing and state.auto_expunge_on_delete and state.switches.delete_moment == moment)

    async def store(self, command: Command) -> None:
        match = SETS_DELETED.search(command.args)
        if match is None or not self._moves_at("store"):
            await self.session.pass_on(command)
            return
        units, status = await self.session.ask(command)
        if status.upper().startswith(b"OK"):
            uid = command.name.startswith("UID")
            uids = await self._search((b"UID " if uid else b"") + match[1] + b" DELETED")
            if uids:
                await self._move_aside(uids)
                # Only a UID command may announce EXPUNGE before its end: numbers would change under the client's feet.
                units += (await self.session.link.ask(b"NOOP"))[0] if uid else []
        await self.session.tell(command, status, units)

    async def expunge(self, command: Command) -> None:
        link = self.session.link
        if not self._moves_at("expunge") or self.session.folder == await self._trash(link):
            await self.session.pass_on(command)
            return
        among = b"UID " + command.args.strip() + b" " if command.name.startswith("UID") else b""
        uids = await self._search(among + b"DELETED")
        units = await self._move(link, uids) if uids else []
        await self.session.tell(
            command, b"OK EXPUNGE completed", [unit for unit in units if b" EXPUNGE" in unit or b"VANISHED" in unit]
        )

    async def before_close(self) -> None:
        """CLOSE expunges; the pass of CLOSE itself follows."""
        link = self.session.link
        if self._moves_at("expunge") and self.session.folder != await self._trash(link):
            uids = await self._search(b"DELETED")
            if uids:
                await self._move(link, uids)

    # -- steps ------------------------------------------------------------------------------------------------

    async def _search(self, what: bytes) -> bytes:
        """UIDs as a set; empty if none."""
        units, _status = await self.session.link.ask(b"UID SEARCH ", what)
        found = [unit.split()[2:] for unit in units if unit.startswith(b"* SEARCH")]
        return b",".join(found[0]) if found else b""

    async def _trash(self, link: Link) -> str:
        for unit in await link.must(b'LIST (SPECIAL-USE) "" "*"'):
            if b"\\Trash" in unit:
                return imap_names.decode(tokens([unit])[-1].decode("ascii"))
        return "Deleted Items"

    async def _move_aside(self, uids: bytes) -> None:
        """By a session of the server's own, so that the client's learns of it when IMAP allows it."""
        session = self.session
        async with imap_link.side_session(session.connection.front.backend, mailbox_name(session.login.user.id)) as link:
            await link.must(b"SELECT ", imap_names.wire(session.folder or "INBOX"))
            if session.folder == await self._trash(link):
                await link.must(b"UID EXPUNGE ", uids)
            else:
                await self._move(link, uids)

    async def _move(self, link: Link, uids: bytes) -> list[bytes]:
        """The moved message is an ordinary one again."""
        await link.must(b"UID STORE ", uids, rb" -FLAGS.SILENT (\Deleted)")
        return await link.must(b"UID MOVE ", uids, b" ", imap_names.wire(await self._trash(link)))
