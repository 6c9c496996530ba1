# SPDX-License-Identifier: GPL-3.0-or-later
"""The true names behind the directories of user trees, as far as they can be told. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout

# The tree of a name that belonged to somebody else; a cut name ends with sixteen hexadecimal digits.
_MARKED = re.compile(rf"(.+){layout.SHORTENED}([0-9]{{1,15}})\Z")
RENAMED = "{} (renamed)"


def is_name(directory: str) -> bool:
    """Whether ``layout.escape`` can have made this name, with a mark or without."""
    bare = _bare(directory)
    try:
        bare.encode()
        true = layout.unescape(bare)
    except UnicodeError:
        return False
    return not bare.startswith((".", "~", " ")) if true is None else layout.escape(true) == bare


def _bare(tree: str) -> str:
    match = _MARKED.match(tree)
    return match[1] if match else tree


class Names:
    """``told`` are true names that a ledger or a catalog speaks of: the only way back from a name that was cut."""

    def __init__(self, told: t.Iterable[str] = ()) -> None:
        pairs = ((layout.escape(name), name) for name in told)
        self._cut = {escaped: name for escaped, name in pairs if layout.SHORTENED in escaped}

    def true(self, directory: str) -> str | None:
        """The name behind one directory; None when it was cut and nobody tells."""
        return self._cut.get(directory, layout.unescape(directory))


def owners(trees: t.Iterable[str], names: Names) -> dict[str, tuple[str, str]]:
    """Tree -> the name of its user, and a reason to look at it ("" for none).

    A tree with a mark was made because the tree of that name belonged to somebody who is called otherwise by now. So the name
    belongs to the newest tree; whoever has an older one gets a name that nobody comes under, lest somebody reads another's mail.
    """
    found: dict[str, tuple[str, str]] = {}
    of_name: dict[str, list[str]] = {}
    for tree in sorted(trees):
        of_name.setdefault(_bare(tree), []).append(tree)
    for bare, same in of_name.items():
        *older, newest = sorted(same, key=_serial)
        true = names.true(bare)
        reason = "" if true is not None else "the true name of its user was cut when it was made"
        if older or newest != bare:
            reason = "more than one user had this name; the newest tree is taken for that of today's"
        found[newest] = (bare if true is None else true, reason)
        for tree in older:
            found[tree] = (RENAMED.format(tree), "its user was called so once, and somebody else after that")
    return found


def _serial(tree: str) -> int:
    match = _MARKED.match(tree)
    return int(match[2]) if match else 0
