# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure of the guarded edit, from one table: the result tells the truth, the service runs, the file is whole, and the
next run completes it. Each case is the module with its detached job."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.service import Ready
from tests.faults import cfg_host
from tests.faults.cfg_host import EDITED, SAVED
from tests.lab import ports
from tests.unit.module_utils.kerio.fake_kerio import CFG, FakeKerio

SAME, NEW, NONE = "the process from before", "a new process", "no process"
BROKEN = b"<config>"
WITHOUT = SAVED.replace(b"AutoExpungeOnDelete", b"Renamed")


@dataclass(frozen=True)
class Failure:
    """``how`` it is provoked: names of faults of the fake service, or a shell text that runs at the end of its stop. ``says`` are
    words of the error, in order. ``file``, ``runs``, ``answers`` and ``restored`` hold afterwards; ``heal`` removes the cause."""

    step: str
    how: str
    says: tuple[str, ...]
    file: bytes
    runs: str = NEW
    answers: bool = True
    restored: bool = False
    kind: str = "service"
    at_stop: bool = False
    heal: str = ""
    options: dict[str, t.Any] = field(default_factory=dict)


STOP_BY_HAND = "kill $(cat kms.pid); while [ -e kms.pid ]; do sleep 0.05; done; "

FAILURES = {
    "stop refused": Failure(
        "stop",
        "refuses_stop",
        ("did not stop within 1 s", "not today"),
        CFG,
        runs=SAME,
        options={"stop_timeout": 1},
    ),
    "process survives": Failure(
        "proof of stop",
        "ignores_term stop_returns_early",
        ("still runs",),
        CFG,
        runs=SAME,
        options={"stop_timeout": 1},
    ),
    "service comes back": Failure(
        "proof of stop",
        "comes_back",
        ("it stopped and came back",),
        SAVED,
        options={"settle": 20},
    ),
    "file broken by the stop": Failure(
        "read",
        "printf '<config>' > mailserver.cfg",
        ("not well-formed", "AutoExpungeOnDelete = unreadable"),
        BROKEN,
        kind="mailserver_cfg",
        at_stop=True,
        heal=STOP_BY_HAND + "cp was mailserver.cfg",
    ),
    "variable gone at the stop": Failure(
        "read",
        "sed -i s/AutoExpungeOnDelete/Renamed/ mailserver.cfg",
        ("there is no variable 'AutoExpungeOnDelete'",),
        WITHOUT,
        kind="mailserver_cfg",
        at_stop=True,
        heal=STOP_BY_HAND + "cp was mailserver.cfg",
    ),
    "written differently": Failure(
        "write",
        "patched",
        ("reads back differently", "The file was restored"),
        SAVED,
        restored=True,
        kind="mailserver_cfg",
    ),
    "start fails once": Failure(
        "start",
        "refuses_start_once",
        ("no answer from its process", "refused by the test", "The file was restored"),
        SAVED,
        restored=True,
        options={"ready_timeout": 2},
    ),
    "start fails": Failure(
        "start",
        "refuses_start",
        ("refused by the test", "THE SERVICE DOES NOT RUN; the repair failed"),
        SAVED,
        runs=NONE,
        answers=False,
        restored=True,
        options={"ready_timeout": 1},
    ),
    "start command gone": Failure(
        "start",
        "mv init init.gone",
        ("cannot be run", "THE SERVICE DOES NOT RUN; the repair failed"),
        SAVED,
        runs=NONE,
        answers=False,
        restored=True,
        at_stop=True,
        heal="mv init.gone init",
    ),
    "nothing ever ready": Failure(
        "readiness",
        "opens_no_port",
        ("no answer from admin API", "IMAP", "but there is no answer"),
        SAVED,
        answers=False,
        restored=True,
        heal=STOP_BY_HAND,
        options={"ready_timeout": 1},
    ),
    "admin API never ready": Failure(
        "readiness",
        "[ -e was-ports ] || cp ports was-ports; echo $(cut -d' ' -f3 was-ports) $(cut -d' ' -f2 was-ports) > ports",
        ("no answer from admin API", "but there is no answer from admin API"),
        SAVED,
        answers=False,
        restored=True,
        at_stop=True,
        heal="cp was-ports ports; " + STOP_BY_HAND,
        options={"ready_timeout": 1},
    ),
    "value lost": Failure(
        "read again",
        "loses_value_once",
        ("the server did not keep AutoExpungeOnDelete = 0: it is 1",),
        SAVED,
        kind="mailserver_cfg",
    ),
}


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    fake = FakeKerio(tmp_path)
    (tmp_path / "was").write_bytes(CFG)
    # The third is a port that the server does not use.
    (tmp_path / "ports").write_text(f"{fake.api_port} {fake.imap_port} {ports.free(1)[0]}", encoding="ascii")
    yield fake
    fake.end()


def provoke(fake: FakeKerio, failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the service with the failure waiting for its moment."""
    before = {"ignores_term", "stop_returns_early"} & set(failure.how.split())
    fake.set(*before)
    # What fails comes later: here a busy machine may take its time.
    fake.service(ready=Ready("127.0.0.1", fake.api_port, fake.imap_port, 60), start_timeout=60).start()
    if failure.at_stop:
        (fake.folder / "at_stop").write_text(failure.how, encoding="utf-8")
    elif failure.how == "patched":
        monkeypatch.setattr(CfgFile, "_write_beside", spoilt(CfgFile._write_beside))
    else:
        fake.set(*failure.how.split())


def spoilt(real: t.Callable[..., None]) -> t.Callable[..., None]:
    """Return a write whose first call loses the end of the file on the disk."""
    calls: list[None] = []

    def write(file: CfgFile, data: bytes, backup: Path) -> None:
        real(file, data, backup)
        calls.append(None)
        if len(calls) == 1:
            file.path.write_bytes(data[:-40])

    return write


def heal(fake: FakeKerio, failure: Failure) -> None:
    for name in ["at_stop"] if failure.at_stop else failure.how.split():
        (fake.folder / name).unlink(missing_ok=True)
    cfg_host.shell(failure.heal, fake.folder)
    if failure.step == "proof of stop":
        # Nothing makes this process end but a kill; the machine was restarted, say.
        fake.end()


@pytest.mark.parametrize("name", FAILURES)
def test_failure_ends_with_the_truth_and_the_next_run_completes_it(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    failure = FAILURES[name]
    provoke(fake, failure, monkeypatch)
    before = cfg_host.seen(fake)

    answer = cfg_host.run(fake, "first", **failure.options)

    assert not answer["changed"]
    error, now = answer["error"], cfg_host.seen(fake)
    places = [error["cause"].find(words) for words in failure.says]
    assert -1 not in places, error["cause"]
    assert places == sorted(places), error["cause"]
    assert (error["kind"], bool(error["subject"]), bool(error["remedy"])) == (failure.kind, True, True)
    # What holds on the host is what the error says.
    assert now["file"].encode() == failure.file
    assert {SAME: now["pid"] == before["pid"], NEW: now["pid"] not in (None, before["pid"]), NONE: now["pid"] is None}[
        failure.runs
    ]
    assert (now["missing"] == []) is failure.answers
    state = error["state"]
    assert (state["running"], state["pid"], state["not_answering"]) == (now["pid"] is not None, now["pid"], now["missing"])
    assert state["restored"] is failure.restored
    assert now["ours"] == ([Path(state["backup_file"]).name] if state["backup_file"] else [])

    monkeypatch.undo()
    heal(fake, failure)
    assert_completed(fake, cfg_host.run(fake, "second"))


def assert_completed(fake: FakeKerio, answer: dict[str, t.Any]) -> None:
    """Assert that this run did what the one before could not, and that nothing is left to do."""
    assert "error" not in answer, answer["msg"]
    now = cfg_host.seen(fake)
    assert now["file"].encode() in (EDITED, EDITED.replace(b"<!-- saved -->", b"<!-- kept -->"))
    assert (now["missing"], fake.read_at_start()) == ([], fake.cfg.read_bytes())
    assert cfg_host.check(fake)["data"]["reasons"] == []


def test_log_that_cannot_be_written_any_more_does_not_leave_the_service_stopped(fake: FakeKerio) -> None:
    fake.service().start()
    (fake.folder / "at_stop").write_text("rm state/*/service.log; mkdir $(echo state/mail*/)service.log", encoding="utf-8")
    assert_completed(fake, cfg_host.run(fake, "first"))
