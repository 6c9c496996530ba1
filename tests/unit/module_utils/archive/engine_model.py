# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive must hold after a run, worked out from servers and declaration alone, and compared with what it holds."""

from __future__ import annotations

import hashlib
import json
import typing as t
from collections import Counter
from dataclasses import dataclass, field

import zstandard

from tests.unit.module_utils.archive.engine_fake import Archive, FakeFolder, flags_of, mail

ALICE, BOB, CAROL, JOURNAL = "alice@example.com", "bob@example.com", "carol@example.com", "archive@example.com"
STRANGER = "nobody@example.org"
TRACE = b"Received: from gw by mail1; Sat, 1 Jan 2022 00:00:00 +0000\r\n"
ARCHIVED, COPY, EXCLUDED, LEFT, FAILED, QUARANTINED, DELETED, VANISHED = range(1, 9)
# To whom and from whom a message is, by its number.
PEOPLE = (
    ((ALICE,), STRANGER),
    ((BOB,), STRANGER),
    ((ALICE, BOB), CAROL),
    ((STRANGER,), STRANGER),
    ((CAROL,), ALICE),
    ((CAROL,), STRANGER),
)
FILTERS: dict[str, t.Callable[[bytes, tuple[str, ...]], bool]] = {
    "seen": lambda _body, flags: "\\Seen" in flags,
    "flagged": lambda _body, flags: "\\Flagged" not in flags,
    "headers": lambda body, _flags: bool({*"12"} & {*body.decode().partition("Subject: message ")[2].split()[0]}),
}
RULES = {
    "seen": {"seen": True},
    "flagged": {"flagged": False},
    "headers": {"headers": {"Subject": ["1", "2"]}},
}


def text(number: int, trace: bool = False) -> bytes:
    """Message ``number``; with ``trace`` as another server passed it on."""
    to, sender = PEOPLE[number % len(PEOPLE)]
    return (TRACE if trace else b"") + mail(number, to=", ".join(to), sender=sender)


def same(body: bytes) -> bytes:
    """What all copies of a message have in common."""
    return body.removeprefix(TRACE)


def people_of(body: bytes) -> tuple[list[str], str]:
    """Recipients and sender."""
    lines = same(body).decode().partition("\r\n\r\n")[0].splitlines()
    head = dict(line.split(": ", 1) for line in lines)
    return head["To"].split(", "), head["From"]


class Placed(t.NamedTuple):
    """A placement as the catalog tells it."""

    user: int
    folder: tuple[str, ...]
    digest: bytes
    origin: str
    path: str


@dataclass
class Model:
    """Compares an archive with its servers."""

    archive: Archive
    stored: dict[bytes, bytes] = field(default_factory=dict)  # digest -> body, of everything that was ever archived
    filed: set[tuple[int, bytes]] = field(default_factory=set)  # user, message: of everything that was ever placed

    # What is

    def placed(self) -> list[Placed]:
        rows = self.archive.rows(
            "SELECT p.user_id, f.name, p.digest, p.origin, f.dir, p.internaldate, p.size, p.vsize, p.flags, f.user_id"
            " FROM placements p JOIN user_folders f ON f.id = p.folder_id"
        )
        found = []
        for user, name, digest, origin, folder, date, size, vsize, flags, owner in rows:
            assert user == owner
            path = f"{folder}/cur/{date}.{digest.hex()}_0.a,S={size},W={vsize}:2,{flags}"
            found.append(Placed(user, tuple(json.loads(name)), digest, origin, path))
        return found

    def users(self) -> dict[str, int]:
        """Today's archive users by address, or by name without one."""
        named = self.archive.rows("SELECT name, id FROM users WHERE deleted IS NULL")
        by_address = self.archive.rows("SELECT address, user_id FROM user_addresses")
        return {**dict(named), **dict(by_address)}

    # Always

    def consistent(self) -> list[Placed]:
        """Catalog, tree and objects say the same; nothing that was ever archived is lost; no twins."""
        placed = self.placed()
        tree = [f"mail/{path}" for path in self.archive.tree()]
        assert sorted(tree) == sorted(one.path for one in placed)
        objects = {row[0] for row in self.archive.rows("SELECT digest FROM objects")}
        assert {bytes.fromhex(name) for name in self.archive.files()} == objects
        assert len(self.archive.rows("SELECT digest FROM objects")) == len(objects)
        for digest in objects - self.stored.keys():
            path = self.archive.root / "objects" / digest.hex()[:2] / digest.hex()
            self.stored[digest] = zstandard.ZstdDecompressor().decompress(path.read_bytes())
            assert hashlib.sha256(self.stored[digest]).digest() == digest
        assert objects >= self.stored.keys(), "an object is lost"
        assert {one.digest for one in placed} <= objects
        for one in placed:
            here = (self.archive.root / one.path).stat()
            assert here.st_ino == (self.archive.root / "objects" / one.digest.hex()[:2] / one.digest.hex()).stat().st_ino
        now = {(one.user, same(self.stored[one.digest])) for one in placed}
        assert now >= self.filed, "a user has lost a message"
        self.filed = now
        twins = Counter((one.user, one.folder, same(self.stored[one.digest])) for one in placed)
        assert max(twins.values(), default=0) <= 1, [key for key, count in twins.items() if count > 1]
        ((total,),) = self.archive.rows("SELECT placements FROM totals")
        assert total == len(placed)
        return placed

    # After a run without problems

    def complete(self) -> None:
        """Every UID has its row, and every message is where the profiles want it."""
        placed = self.consistent()
        assert not list((self.archive.root / "staging").iterdir())
        wanted: dict[tuple[str, str, int], bool] = {}
        for profile in self.archive.profiles:
            for mailbox, owner in self.mailboxes(profile):
                for name, folder in self.selected(profile, mailbox).items():
                    for uid in folder.uids():
                        want = self.passes(profile, folder, uid)
                        if want:
                            want = self.is_filed(profile, placed, mailbox, owner, name, folder.messages[uid])
                        key = (mailbox, name, uid)
                        wanted[key] = wanted.get(key, False) or want
        self.ledger(wanted)

    def ledger(self, wanted: t.Mapping[tuple[str, str, int], bool]) -> None:
        """Compare the rows of all folders that were read with the UIDs on the server."""
        states = {
            (mailbox, name, uid): (state, validity, digest)
            for mailbox, name, uid, state, validity, digest in self.archive.rows(
                "SELECT mailbox, name, uid, state, m.uidvalidity, m.digest FROM source_messages m JOIN source_folders f"
                " ON f.id = folder_id AND f.uidvalidity = m.uidvalidity"
            )
        }
        for (mailbox, name, uid), want in wanted.items():
            folder = self.archive.servers.hosts["mail1"][mailbox][name]
            assert (mailbox, name, uid) in states, f"no row: {mailbox} {name} {uid}"
            state, validity, digest = states.pop((mailbox, name, uid))
            body = folder.messages[uid]
            assert validity == folder.uidvalidity
            assert state in ((ARCHIVED, COPY) if want else (ARCHIVED, COPY, EXCLUDED, LEFT)), (mailbox, name, uid, state)
            if state in (ARCHIVED, COPY):
                assert digest == hashlib.sha256(body).digest(), f"the row of another message: {mailbox} {name} {uid}"
        read = {key[:2] for key in wanted}
        for key, (state, _, _) in states.items():
            if key[:2] in read:
                assert state in (DELETED, VANISHED), f"not on the server: {key} {state}"

    # What should be

    def mailboxes(self, profile: dict[str, t.Any]) -> list[tuple[str, int]]:
        """Mailbox and owner of its mail; the owner is 0 where addresses decide."""
        users = self.users()
        if profile["method"] == "multiple_mailboxes":
            return [(address, user) for address, user in users.items() if "@" in address[1:]]
        if profile["method"] == "multidrop":
            return [(JOURNAL, 0)]
        return [(profile["mailbox"], users[profile["target_user"]])]

    def selected(self, profile: dict[str, t.Any], mailbox: str) -> dict[str, FakeFolder]:
        left_out = profile.get("folders", {}).get("exclude", [])
        folders = self.archive.servers.hosts["mail1"][mailbox]
        return {name: folder for name, folder in folders.items() if not {name, name.partition("/")[0]} & {*left_out}}

    def passes(self, profile: dict[str, t.Any], folder: FakeFolder, uid: int) -> bool:
        return all(FILTERS[key](folder.messages[uid], flags_of(folder, uid)) for key in profile.get("filter", {}))

    def is_filed(self, profile: dict[str, t.Any], placed: list[Placed], mailbox: str, owner: int, name: str, body: bytes) -> bool:
        """Check that a message is where a profile wants it; return whether the profile wants it anywhere."""
        wanted, users = same(body), self.users()
        caught = users.get("@catchall")
        mine = [one for one in placed if same(self.stored[one.digest]) == wanted]
        for user, folder in self.targets(profile, mailbox, owner, name, body):
            found = [one for one in mine if one.user == user]
            if profile["method"] == "multidrop":
                # Who came later gets what nobody else had.
                late = user == users.get(CAROL) and any(one.origin.startswith("multidrop") and one.user != caught for one in mine)
                assert found or late, f"no placement: {user} {folder} {wanted!r}"
                continue
            moved = profile.get("moves") != "follow"
            fitting = [one for one in found if one.folder == folder or one.origin.startswith("multidrop") or moved]
            assert fitting, f"no placement: {user} {folder} {wanted!r}"
        return bool(self.targets(profile, mailbox, owner, name, body))

    def targets(
        self, profile: dict[str, t.Any], mailbox: str, owner: int, name: str, body: bytes
    ) -> list[tuple[int, tuple[str, ...]]]:
        if owner:
            return [(owner, (mailbox, *name.split("/")))]
        users = self.users()
        recipients, sender = people_of(body)
        found = {users[one]: (one, "INBOX") for one in [sender, *recipients] if one in users}
        if not found and profile.get("unknown_addresses") == "catchall":
            return [(users["@catchall"], ("Unknown E-mail Addresses",))]
        return list(found.items())
