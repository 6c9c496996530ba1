# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_repair`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import re
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair import Repair, Repaired
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_plan import Asks
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import LISTED, named
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError

JOB = "archive_repair"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
# What a step is called in a sentence, for one and for more.
WORDS = {
    "set_mode": ("mode set right", "modes set right"),
    "make_directory": ("directory made", "directories made"),
    "restore_object": ("object restored", "objects restored"),
    "write_row": ("row of an object written", "rows of objects written"),
    "link_placement": ("placement linked", "placements linked"),
    "drop_name": ("wrong name removed", "wrong names removed"),
    "clear_staging": ("file left in staging removed", "files left in staging removed"),
    "read_again": ("message to be read from its server again by the next run", "messages to be read again by the next run"),
    "declare_lost": ("message declared lost", "messages declared lost"),
    "set_found": ("lost message found", "lost messages found"),
}

Data = dict[str, t.Any]


def asks_of(params: Data) -> Asks:
    """What is asked for; raises ``InputError``."""
    digests = [text.strip().lower() for text in params["declare_lost"]]
    for text in digests:
        if not _DIGEST.match(text):
            raise InputError(
                "declare_lost", f"{text} is no digest", "Give 64 hexadecimal digits, as archive_verify names objects"
            )
    reason = (params["lost_reason"] or "").strip()
    if digests and not reason:
        raise InputError("lost_reason", "declare_lost is given without it", "Say why the messages are lost: it is kept")
    by = params["by"] or params["job_owner"] or ""
    return Asks(params["from_server"], frozenset(map(bytes.fromhex, digests)), reason, by)


def refuse_useless(root: str, backups: t.Iterable[str]) -> None:
    """Raise ``InputError`` for a backup that is none."""
    for backup in backups:
        if not Path(backup, layout.FORMAT_FILE).is_file():
            remedy = "Mount it, or name the folder that holds the file format and the folder objects"
            raise InputError(f"backups: {backup}", "there is no copy of an archive", remedy)
        archive, copy = Path(root).resolve(), Path(backup).resolve()
        if copy.samefile(archive):
            raise InputError(f"backups: {backup}", "it is the archive itself", "Name a copy of it")
        if copy.is_relative_to(archive) or archive.is_relative_to(copy):
            cause = "one of the archive and this folder lies within the other"
            raise InputError(f"backups: {backup}", cause, "Name a copy that lies apart from the archive")


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    root, asks, fails = params["root"], asks_of(params), params["fail_on_damage"]
    repair = functools.partial(_repair, root, params["backups"], asks, params["processes"], fails)

    def prepare() -> job.Work:
        require_zstandard()
        Store.open(root).close()
        refuse_useless(root, params["backups"])
        return repair

    if check_mode:
        prepare()
        return repair(Silent(), write=False)
    keys = ("root", "backups", "from_server", "declare_lost", "lost_reason", "by", "fail_on_damage")
    about, service = {key: params[key] for key in keys}, job_outcome.service_of(params, sees=params["backups"])
    return job_outcome.follow(params, JOB, "Repair is under way", prepare, about, service=service)


def _repair(
    root: str, backups: list[str], asks: Asks, processes: int, fails: bool, reporter: Reporter, *, write: bool = True
) -> Data:
    try:
        return outcome_of(Repair(root, backups, asks, reporter, write, processes).run(), fails, not write)
    except BusyError as error:
        return job_outcome.in_use(error)


def outcome_of(repaired: Repaired, fails: bool, check_mode: bool = False) -> Data:
    """The result. What could not be repaired fails the module unless it is told not to; not to have looked always does."""
    left = [finding.as_data() for finding in repaired.left]
    undone = [{**step.as_data(), "cause": cause} for step, cause in repaired.undone]
    hidden = [f"{path} cannot be read ({cause}): make it readable, or move it away" for _one, path, cause in repaired.unreadable]
    may_be = "is not lost, will be read from its server, or may lie in what cannot be read"
    useless = [f"declare_lost: {digest.hex()} {may_be}" for digest in repaired.useless]
    return {
        "changed": bool(repaired.steps),
        "msg": sentence(repaired, check_mode),
        "failed": bool(repaired.incomplete) or (bool(left) and fails),
        "warnings": [*hidden, *useless][:LISTED],
        "diff": {
            "before": _lines(repaired.found),
            "after": _lines(repaired.left),
            "before_header": "damage",
            "after_header": "damage",
        },
        "data": {
            "found": len(repaired.found),
            "steps": [step.as_data() for step in repaired.steps[:LISTED]],
            "undone": undone[:LISTED],
            "left": len(left),
            "damage": left[:LISTED],
            "lost": repaired.lost,
        },
    }


def _lines(findings: t.Sequence[Finding]) -> str:
    more = f"and {len(findings) - LISTED:,} more\n" if len(findings) > LISTED else ""
    return "".join(f"{one.kind} {one.subject}\n" for one in findings[:LISTED]) + more


def sentence(repaired: Repaired, check_mode: bool = False) -> str:
    """All in one sentence."""
    found, left = len(repaired.found), repaired.left
    counts = Counter(step.action for step in repaired.steps)
    done = ", ".join(f"{counts[action]:,} {words[counts[action] != 1]}" for action, words in WORDS.items() if counts[action])
    parts = [f"{found:,} damaged" if found else "No damage"]
    parts += [f"{'to be done' if check_mode else 'done'}: {done}"] if done else []
    parts += [f"{len(repaired.undone):,} steps failed: {repaired.undone[0][1].rstrip('.')}"] if repaired.undone else []
    parts += [f"declared lost: {repaired.lost:,}"] if repaired.lost else []
    parts += [repaired.incomplete] if repaired.incomplete else []
    if left:
        parts.append(f"{len(left):,} left: {named(left)}")
    elif found and not repaired.incomplete:
        parts.append("all is repaired")
    return "; ".join(parts)
