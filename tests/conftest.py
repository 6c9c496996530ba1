# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: the lab's fixtures, and the rule that no test may skip unless its reason is on a short list."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

# Before anything of the collection is imported: what Ansible's loader did not import itself, it does not know later.
init_plugin_loader([str(Path(__file__).parents[1] / "collections")])

# Whatever the caller's environment says, processes that tests start keep what they compiled and read their code in one go: where
# Python is not to buffer, it reads a module that comes by a pipe byte by byte.
for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)

pytest_plugins = ["tests.lab.fixtures", "tests.faults.counting", "tests.hosts.plugin", "tests.order", "tests.secrets_sweep"]
pytest_plugins += ["tests.error_watch"]

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
UMASK = 0o022
os.umask(UMASK)


@pytest.fixture(scope="module", autouse=True)
def _usual_umask() -> Iterator[None]:
    """Give each file the usual umask: a store leaves its process 027, which closes what later files make for other accounts.

    The caller's may do so as well, and then nobody but root could log in to hosts of tests.
    """
    os.umask(UMASK)
    yield
    os.umask(UMASK)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder like tmp_path for tests of other accounts: what is above that one is closed to them by each start of pytest."""
    with tempfile.TemporaryDirectory(prefix="kerio-open-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def allowed_reasons() -> list[str]:
    """Return the beginnings of the reasons for which a test may skip, one a line of the list, comments left out."""
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def skip_reasons(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """Return (test, reason) of every skipped test of this session."""
    found = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found.append((report.nodeid, reason.removeprefix("Skipped: ")))
    return found


def forbidden_skips(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """Return the skipped tests whose reason is not on the list."""
    allowed = tuple(allowed_reasons())
    return [(test, reason) for test, reason in skip_reasons(reporter) if not (allowed and reason.startswith(allowed))]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when a test skipped for a reason that is not on the list."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(session.config, "workerinput")
    if reporter and not is_worker and forbidden_skips(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped and why."""
    skipped = skip_reasons(terminalreporter)
    terminalreporter.write_line(f"skipped: {len(skipped)}")
    for reason in sorted({reason for _, reason in skipped}):
        terminalreporter.write_line(f"  {sum(1 for _, other in skipped if other == reason)} x {reason}")
    for test, reason in forbidden_skips(terminalreporter):
        terminalreporter.write_line(f"  NOT ALLOWED: {test}: {reason}", red=True)
