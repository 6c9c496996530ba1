# SPDX-License-Identifier: GPL-3.0-or-later
"""`make reference`: write docs/reference out of what modules, roles and playbooks say of themselves."""

from __future__ import annotations

from tests.reference.markup import REFERENCE
from tests.reference.pages import pages
from tests.reference.sources import ROOT


def main() -> None:
    wanted = {ROOT / path: text for path, text in pages().items()}
    for page in set((ROOT / REFERENCE).rglob("*.md")) - set(wanted):
        page.unlink()
    for page, text in wanted.items():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
