# SPDX-License-Identifier: GPL-3.0-or-later
"""`make dist`: builds the collection in build/dist and tries it as operators and Ansible do; `sanity NAME...` runs some tests."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.dist import sanity, smoke, tarball

BUILD = tarball.ROOT / "build" / "dist"


def main(arguments: list[str]) -> int:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        if arguments[:1] == ["sanity"]:
            tell(f"passed: {', '.join(sanity.run(tarball.stage(BUILD), BUILD / 'sanity-home', *arguments[1:]))}")
            return 0
        file = tarball.pack(BUILD)
        tell(f"{file} ({file.stat().st_size:,} bytes)")
        faults = tarball.faults(file)
        if faults:
            raise tarball.PackagingError("\n".join(faults))
        tell("holds the modules of library/ and all that belongs there, no link, no cache, no secret")
        collection = BUILD / "ansible_collections" / Path(*tarball.NAME.split("."))
        tell(f"ansible-test sanity passed: {', '.join(sanity.run(collection, BUILD / 'sanity-home'))}")
        for line in smoke.run(BUILD, file):
            tell(line)
        if wanting := tarball.unpublished():
            tell(f"not for publishing yet: fill in {', '.join(wanting)} in galaxy.yml (docs/release.md)")
    except tarball.PackagingError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
