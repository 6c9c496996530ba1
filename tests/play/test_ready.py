# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that is handed over does what it would have done, and only what is in the same situation is handed over."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT, environment, run_playbook
from tests.lab.service import wait_until
from tests.play import quick

ERRORS = "ansible_collections/mailops/kerio/plugins/module_utils/errors.py"
PACKED = """
import base64, os, sys, tempfile
def run(zip_data):
    folder = tempfile.mkdtemp()
    with open(f"{folder}/own.zip", "wb") as file:
        file.write(base64.b64decode(zip_data))
    sys.path.insert(0, file.name)
    import ansible
    from ansible_collections.mailops.kerio.plugins.module_utils import errors
    place = errors.__file__ == f"{file.name}/" + errors.__name__.replace(".", "/") + ".py"
    print(place, errors.ArchiveToolError.__init__.__code__.co_filename.startswith(folder), getattr(errors, "OWN", None))
run(
zip_data='%s'
)
"""
TELLS = """
import json, os, resource, sys
print(json.dumps({"argv": sys.argv, "path": sys.path, "cwd": os.getcwd(), "umask": os.umask(0), "variable": os.environ.get("OWN"),
                  "name": __name__, "file": globals().get("__file__"), "executable": sys.executable,
                  "limits": resource.getrlimit(resource.RLIMIT_NOFILE), "files": sorted(os.listdir("/proc/self/fd"))[:3]}))
print("imapclient" in sys.modules, file=sys.stderr)
sys.exit(3)
"""


def variables(**own: str) -> dict[str, str]:
    return environment(Path(sys.executable), {**quick.environment(), **own})


def python(script: str, *before: str, alone: bool = False, **own: str) -> subprocess.CompletedProcess[str]:
    """Run a script as Ansible runs a module; ``alone``: nobody is ready for it."""
    given = {**variables(**own), **({quick.READY: ""} if alone else {})}
    command = ["/bin/sh", "-c", shlex.join([*before, sys.executable])]
    return subprocess.run(command, input=script, env=given, cwd=ROOT, capture_output=True, text=True, check=False)


def is_handed_over(done: subprocess.CompletedProcess[str]) -> bool:
    assert done.stderr in ("True\n", "False\n"), done
    return done.stderr == "True\n"


@pytest.fixture(autouse=True)
def _ready() -> None:
    there = [Path(os.environ[quick.READY], kind) for kind in quick.KINDS]
    assert wait_until(lambda: all(map(Path.exists, there)), 60)
    assert wait_until(lambda: is_handed_over(python(TELLS)), 60)


def test_what_is_handed_over_is_as_it_would_have_been() -> None:
    masked = ("sh", "-c", 'umask 027; exec "$0"')
    usual, done = (python(TELLS, *masked, alone=alone, OWN="one") for alone in (True, False))
    assert not is_handed_over(usual)
    assert is_handed_over(done)
    assert json.loads(done.stdout) == json.loads(usual.stdout)
    assert (json.loads(done.stdout)["variable"], json.loads(done.stdout)["umask"], done.returncode) == ("one", 0o27, 3)


@pytest.mark.parametrize(
    "script", ["raise ValueError(7)", "import sys; sys.exit('no')", "import os; os.kill(os.getpid(), 9)", "1 +"]
)
def test_it_ends_as_it_would_have_ended(script: str) -> None:
    usual, done = (python(script, alone=alone) for alone in (True, False))
    assert usual.returncode != 0
    assert done.returncode == usual.returncode
    assert done.stderr.splitlines()[-1:] == usual.stderr.splitlines()[-1:]


@pytest.mark.parametrize(
    ("before", "own"),
    [
        (["prlimit", "--nofile=100"], {}),
        (["prlimit", "--core=0:0"], {}),
        (["nice", "-n", "1"], {}),
        (["unshare", "--net"], {}),
        (["unshare", "--mount"], {}),
        (["setpriv", "--no-new-privs"], {}),
        (["setpriv", "--clear-groups", "--reuid=65534", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"], {}),
        ([], {"PYTHONUTF8": "0"}),
        ([], {"PYTHONWARNINGS": "error"}),
        ([], {"LD_LIBRARY_PATH": "/nowhere"}),
        ([], {quick.KEPT: "/nowhere"}),
    ],
)
def test_what_is_in_another_situation_is_not_handed_over(before: list[str], own: dict[str, str]) -> None:
    assert not is_handed_over(python(TELLS, *before, **own))


def test_who_kills_what_was_started_kills_what_was_forked_for_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"import os, pathlib, time\npathlib.Path({str(note)!r}).write_text(f'{{os.getpid()}} ')\ntime.sleep(60)\n"
    started = subprocess.Popen([sys.executable], stdin=subprocess.PIPE, env=variables(), cwd=ROOT, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.communicate(script, timeout=0.01)
    assert wait_until(lambda: note.exists() and note.read_text().endswith(" "), 20)
    forked = Path("/proc", note.read_text().strip())
    assert forked.name != str(started.pid)
    assert forked.exists()
    started.send_signal(signal.SIGTERM)
    assert started.wait() == -signal.SIGTERM
    assert wait_until(lambda: not forked.exists(), 20)


def packed(**also: str) -> str:
    """A module whose archive has the errors of the collection, with ``also`` at their end."""
    text = (ROOT / "module_utils/errors.py").read_text(encoding="utf-8")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("ansible/__init__.py", f"# {time.time()}")  # so that no archive is known from before
        for folder in list(Path(ERRORS).parents)[:-1]:
            made.writestr(f"{folder}/__init__.py", "")
        made.writestr(ERRORS, text + "".join(f"\n{name} = {value!r}\n" for name, value in also.items()))
    return PACKED % base64.b64encode(archive.getvalue()).decode()


@pytest.mark.parametrize(
    ("also", "told"),
    [({}, ["True True None", "True False None"]), ({"OWN": "other"}, ["True True other", "True True other"])],
)
def test_a_part_is_taken_for_the_packed_one_if_it_is_the_same_and_that_was_run(also: dict[str, str], told: list[str]) -> None:
    script = packed(**also)
    assert [python(script).stdout.strip() for _ in told] == told


def test_playbooks_are_handed_over_in_the_same_way(tmp_path: Path) -> None:
    # Behind the number of its process the name of a folder has eight characters; a longer number may begin the same.
    folder = "~/.ansible/tmp/ansible-local-$(awk '/^PPid/ {print $2}' /proc/$PPID/status)????????"
    who = "tr '\\0' ' ' < /proc/$PPID/cmdline; ls -d " + folder
    tasks = [{"name": "Ensure it is told who plays", "ansible.builtin.debug": {"msg": "{{ lookup('pipe', who) }}"}}]
    path = tmp_path / "playbook.json"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": {"who": who}, "tasks": tasks}
    path.write_text(json.dumps([play]), encoding="utf-8")
    told = []
    for own in ({}, {"ANSIBLE_FORCE_HANDLERS": "1"}, {quick.READY: ""}):
        done = run_playbook(path, inventory="localhost,", **{**quick.environment(), **own})
        assert done.rc == 0, done.output
        told.append(done.of("debug")[0].result["msg"].split())
    assert ["tests.play.ready" in words for words in told] == [True, False, False]
    assert all({"ansible", "playbook"} < set(words) for words in told[1:])
    temporary = {words[-1] for words in told}
    assert len(temporary) == len(told)
    assert not any(Path(left).exists() for left in temporary)
