# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archived messages are one message in two forms, because a server changed it and a run archived what it made of it.

The archive has both then. On the server they are one, which stands for both: or each restore would put in one more, and a run
would archive that one as well.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import Came, compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_prints import Prints
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Source
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_find import Finder


def same_in_form(finder: Finder, left: t.Sequence[Wanted], found: t.Sequence[Wanted]) -> dict[bytes, Came]:
    """Those of ``left`` that are a message of ``found`` but for line ends, or, with the same date, for header fields that one of
    the two has more. ``Came.OTHER``: nothing but the text is the same, as when a server altered it (see ``restore_prints``).

    The archive is read only for those whose dates, or sizes but for line ends, are alike.
    """
    lines, texts, by_body = set(), set(), defaultdict(list)
    for one, prints in _printed(finder, found, left):
        lines.add(prints.lines)
        texts.add(prints.text)
        by_body[one.date, prints.body].append(one.digest)
    same = {}
    for one, prints in _printed(finder, left, found) if lines else ():
        others = by_body.get((one.date, prints.body), ())
        if prints.lines in lines:
            same[one.digest] = Came.LINE_ENDS
        elif any(_has_more_fields(finder.source, one.digest, other) for other in others):
            same[one.digest] = Came.HEADERS
        elif prints.text in texts:
            same[one.digest] = Came.OTHER
    return same


def _printed(finder: Finder, some: t.Iterable[Wanted], others: t.Iterable[Wanted]) -> t.Iterator[tuple[Wanted, Prints]]:
    """The prints of ``some`` that may be one of ``others``."""
    dates, sizes = set(), defaultdict(set)
    for one in others:
        dates.add(one.date)
        sizes[one.vsize].add(one.size)
    for one in some:
        # Two of one size have no other line ends.
        if one.date in dates or sizes.get(one.vsize, set()) - {one.size}:
            prints = finder.prints(one.digest)
            if prints is not None:
                yield one, prints


def _has_more_fields(source: Source, one: bytes, other: bytes) -> bool:
    """Whether one of the two has all that the other has, and more header fields."""
    try:
        first, second = (b"".join(source.content(digest).pieces) for digest in (one, other))
    except StoreError:
        return False
    return Came.HEADERS in (compare(first, second), compare(second, first))
