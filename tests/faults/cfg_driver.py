# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault of the guarded edit in a mount namespace of its own: `python -m tests.faults.cfg_driver FOLDER`, the case on stdin.

Everything that is mounted ends with the process. The case is JSON: shell texts ``before``, ``at_stop``, ``heal`` and ``reboot``,
``options`` of the module, and ``kill``, the name of a point of ``cfg_kill`` at which job and guardian die. Prints what holds at
the beginning, after the faulty run and after the next one.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from tests.faults import cfg_host, cfg_kill
from tests.unit.module_utils.kerio.fake_kerio import CFG, FakeKerio


def main(folder: Path, case: dict[str, t.Any]) -> None:
    fake = FakeKerio(folder)
    fake.cfg.rename(folder / "original.cfg")
    disk = folder / "disk"
    disk.mkdir()
    (folder / "state").mkdir(mode=0o700)
    cfg_host.shell(case.get("before", ""), folder)
    file = disk / "mailserver.cfg"
    if not file.exists():
        file.write_bytes(CFG)
    fake.cfg.symlink_to("disk/mailserver.cfg")
    fake.service().start()
    try:
        sys.stdout.write(json.dumps(story(fake, case)))
    finally:
        fake.end()


def story(fake: FakeKerio, case: dict[str, t.Any]) -> dict[str, t.Any]:
    options = case.get("options", {})
    (fake.folder / "at_stop").write_text(case.get("at_stop", ""), encoding="utf-8")
    begin = cfg_host.seen(fake)
    if case.get("kill"):
        faulty = killed(fake, cfg_kill.POINTS[case["kill"]])
    else:
        faulty = {"answer": cfg_host.run(fake, "first", **options), **cfg_host.seen(fake)}
    if case.get("reboot"):
        fake.end()
        cfg_host.shell(case["reboot"], fake.folder)
        if case["autostart"]:
            fake.service().start()
    (fake.folder / "at_stop").unlink()
    cfg_host.shell(case.get("heal", ""), fake.folder)
    after = {"answer": cfg_host.run(fake, "second", **options), **cfg_host.seen(fake)}
    last = {"answer": cfg_host.check(fake)} if not options else {}
    return {"begin": begin, "faulty": faulty, "after": after, "last": last}


def killed(fake: FakeKerio, point: cfg_kill.Point) -> dict[str, t.Any]:
    """Let job and guardian die; return what holds then."""
    if point.linked:
        (fake.folder / "disk" / "second-name").hardlink_to(fake.cfg.resolve())
    setattr(point.owner, point.attribute, cfg_kill.deadly(point, fake.folder / "killed", with_guardian=True))
    answer = cfg_host.run(fake, "first")
    assert (fake.folder / "killed").exists(), "the job never came there"
    state = next((fake.folder / "state").glob("*/state.json"))
    for pid, identity in json.loads(state.read_bytes())["processes"]:
        cfg_host.wait_until_gone(pid, identity)
    return {"answer": answer, **cfg_host.seen(fake)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
