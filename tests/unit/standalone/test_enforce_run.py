# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole program in a folder: lock, checkout, playbook, result, history, metrics, and what it prints."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from standalone.kerio_enforce import files, process
from standalone.kerio_enforce.__main__ import main
from standalone.kerio_enforce.enforce import Enforcement, environment_of, failure_text
from standalone.kerio_enforce.process import Stop
from tests.unit.standalone.enforce_scene import Scene, clock_of, ssh_key

ROOT = Path(__file__).parents[3]
SITE = {
    "version": 1,
    "playbook": "site",
    "check": False,
    "started": 1,
    "finished": 2,
    "servers": {"mail1": {"failures": []}, "mail2": {"failures": ["mail2: it refused\nthe login. Do it."]}},
    "archive_hosts": {"archive1": {"failures": [], "run": {"figures": {"totals": {"objects": 7}, "mailboxes": []}}}},
}
WRITES = f"import json; json.dump(json.loads({json.dumps(json.dumps(SITE))}), open(variables['site_report'], 'w'));"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def enforce(scene: Scene, *action: str, **more: t.Any) -> int:
    return main(["--config", str(scene.config_file(**more)), *(action or ("run", "hourly-site"))])


def values(scene: Scene, name: str) -> dict[str, float]:
    """The series of a metric by their labels."""
    found = {}
    for line in scene.textfile.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == f"kerio_archive_{name}":
            found[series.partition("{")[2].rstrip("}")] = float(value)
    return found


def test_a_run_that_is_well(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    commit = scene.commit(site="print(arguments, os.getcwd())")
    assert enforce(scene) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("kerio-archive hourly-site: ok: done in ") and commit[:10] in printed and printed.count("\n") == 1
    result = scene.result()
    assert (result["outcome"], result["rc"], result["failures"], result["commit"]) == ("ok", 0, [], commit)
    assert stat.S_IMODE((scene.textfiles / "kerio_archive.prom").stat().st_mode) == 0o644
    success = values(scene, "schedule_last_success_timestamp_seconds")['schedule="hourly-site",playbook="site"']
    assert success == result["finished"]
    assert values(scene, "schedule_last_success_timestamp_seconds")['schedule="drift",playbook="drift"'] == 0
    assert values(scene, "checkout_info") == {f'commit="{commit}",version="main"': 1}
    assert set(values(scene, "problem").values()) == {0}


def test_the_command_line_has_what_is_declared_and_no_secret(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    scene.commit(site="json.dump([arguments, variables, os.getcwd()], open('/dev/stdout', 'w'))")
    schedule = {**scene.data()["schedules"][0], "limit": "mail1:archive1", "check": True, "extra_vars": {"mine": "declared"}}
    assert enforce(scene, vault="vault-password", schedules=[schedule]) == 0
    arguments, variables, folder = json.loads((scene.state / "logs/hourly-site.log").read_text(encoding="utf-8"))
    file = scene.state / "reports/hourly-site.vars.json"
    assert arguments == [
        *("-i", "inventory/mine", "playbooks/site.yml", "-e", f"@{file}"),
        *("--vault-password-file", "/run/credentials/x/vault-password", "--limit", "mail1:archive1", "--check"),
    ]
    assert variables["mine"] == "declared" and folder == str(scene.checkout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_failures_of_the_report_are_told_and_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site=WRITES + "sys.exit(2)")
    assert enforce(scene) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("kerio-archive hourly-site: failed: ansible-playbook ended with status 2 in ")
    assert printed[1:] == ["kerio-archive hourly-site: mail2: it refused the login. Do it."]
    assert values(scene, "schedule_failures") == {'schedule="hourly-site",playbook="site"': 1}
    assert values(scene, "server_failures") == {'server="mail1"': 0, 'server="mail2"': 1}
    assert values(scene, "server_last_success_timestamp_seconds")['server="mail2"'] == 0
    assert values(scene, "objects_total") == {'archive_host="archive1"': 7}


def test_a_playbook_that_found_no_host_is_no_success(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="os.unlink(variables['site_report'])")
    assert enforce(scene) == 1
    assert "no report: the inventory inventory/mine has no host for this playbook" in capsys.readouterr().out
    assert scene.result()["outcome"] == "failed"


def test_ansible_leaves_no_host_out_for_a_fault_in_the_inventory() -> None:
    given = environment_of({"PATH": "/bin", "PYTHONPATH": "/opt"})
    assert given["ANSIBLE_INVENTORY_UNPARSED_FAILED"] == given["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] == "1"
    assert given["PATH"] == "/bin" and "PYTHONPATH" not in given


def test_half_pairs_and_control_characters_of_a_server_are_kept_and_told(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    report = {"version": 1, "servers": {"mail1": {"failures": ["a \ud83d b \x1b[2J c ü"]}}}
    scene.commit(site=f"open(variables['site_report'], 'w').write({json.dumps(report)!r})")
    assert enforce(scene) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("mail1: a \\ud83d b \\x1b[2J c ü")
    assert scene.result()["failures"] == ["mail1: a \ud83d b \x1b[2J c ü"]
    assert values(scene, "server_failures") == {'server="mail1"': 1}


def test_a_program_that_is_not_there_is_a_result(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="")
    assert enforce(scene, ansible_playbook="/nonexistent/ansible-playbook") == 1
    assert "No such file or directory" in capsys.readouterr().out
    assert scene.result()["outcome"] == "failed"
    assert values(scene, "schedule_last_run_success")['schedule="hourly-site",playbook="site"'] == 0


def test_a_result_that_cannot_be_kept_is_told_and_is_no_success(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="")
    scene.state.mkdir()
    (scene.state / "results").touch()
    assert enforce(scene) == 1
    assert "the result is not kept" in capsys.readouterr().out
    assert values(scene, "textfile_timestamp_seconds")


def test_a_disk_on_which_nothing_can_be_written_is_told(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: t.Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    scene.commit(site="")
    monkeypatch.setattr(files, "write_json", full)
    assert enforce(scene) == 1
    printed = capsys.readouterr().out
    assert "refused: nothing run: checkout " in printed and "No space left on device" in printed
    assert values(scene, "problem")['problem="missing"'] == 1


def test_a_stop_ends_the_wait_for_another_run(scene: Scene) -> None:
    stop = Stop(asked=True)
    scene.state.mkdir()
    with (scene.state / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert Enforcement(scene.config(lock_wait="1h"), "hourly-site", stop).go() == 1
    assert scene.result()["outcome"] == "stop"


def test_success_is_kept_while_runs_fail(scene: Scene) -> None:
    scene.commit(site="")
    enforce(scene)
    well = scene.result()["finished"]
    scene.commit(site="print('[ERROR]: no inventory'); sys.exit(4)")
    assert enforce(scene) == 1
    assert scene.result()["failures"] == ["no inventory"]
    key = 'schedule="hourly-site",playbook="site"'
    assert values(scene, "schedule_last_success_timestamp_seconds")[key] == well
    assert values(scene, "schedule_last_run_success")[key] == 0


def test_a_report_of_the_run_before_is_not_taken_for_this_one(scene: Scene) -> None:
    scene.commit(site=WRITES)
    enforce(scene)
    scene.commit(site="print('fatal: [mail1]: FAILED! => it broke'); sys.exit(2)")
    enforce(scene)
    assert scene.result()["failures"] == ["[mail1]: FAILED! => it broke"]


def test_a_playbook_that_hangs_is_ended_at_its_limit(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = scene.root / "began"
    monkeypatch.setattr(process, "time", clock_of(began))
    scene.commit(site=f"print('waiting', flush=True); open('{began}', 'w').close(); time.sleep(100)")
    assert enforce(scene) == 1
    assert "time: ended after its time limit of 60 s; archiving goes on" in capsys.readouterr().out
    assert (scene.result()["outcome"], scene.result()["failures"]) == ("time", ["waiting"])


def test_what_is_not_signed_is_never_run(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    key = ssh_key(scene.root / "ops.key")
    scene.trust(key)
    good = scene.commit(key, site="")
    assert enforce(scene) == 0
    scene.commit(site=f"open('{scene.root}/ran', 'w')")
    capsys.readouterr()
    assert enforce(scene) == 1
    assert not (scene.root / "ran").exists()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("kerio-archive hourly-site: refused: nothing run: commit ")
    assert values(scene, "problem")['problem="signature"'] == 1
    assert values(scene, "checkout_signature_verified") == {"": 0}
    assert list(values(scene, "checkout_info")) == [f'commit="{good}",version="main"']


def test_an_unreachable_remote_is_run_told_and_exported(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="")
    enforce(scene)
    fetched = values(scene, "checkout_fetched_timestamp_seconds")
    scene.remote.rename(scene.root / "elsewhere")
    capsys.readouterr()
    assert enforce(scene) == 0
    warning, done = capsys.readouterr().out.splitlines()
    assert "cannot be fetched" in warning and ": ok: " in done
    assert values(scene, "problem")['problem="unreachable"'] == 1
    assert values(scene, "checkout_fetched_timestamp_seconds") == fetched


def test_an_environment_of_other_requirements_is_told_and_exported(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    made_from = scene.root / "made-from.txt"
    made_from.write_text("one\n", encoding="utf-8")
    (scene.work / "requirements.txt").write_text("two\n", encoding="utf-8")
    scene.commit(site="")
    for environment, told in ((made_from, 1), (scene.work / "requirements.txt", 0)):
        assert enforce(scene, requirements=str(environment)) == 0
        assert capsys.readouterr().out.count("Run playbooks/controller.yml, which makes it anew.") == told
        assert values(scene, "checkout_environment_outdated") == {"": told}


def test_a_second_start_ends_well_and_says_who_runs(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="print('began', flush=True); open(os.environ['BEGAN'], 'w').close(); time.sleep(100)", drift="")
    began = scene.root / "began"
    os.mkfifo(began)
    program = [sys.executable, "-m", "kerio_enforce", "--config", str(scene.config_file()), "run", "hourly-site"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "standalone"), "BEGAN": str(began)}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as first:
        began.read_bytes()
        assert enforce(scene, "run", "drift") == 0
        told = capsys.readouterr().out
        assert f"nothing done: schedule hourly-site (process {first.pid}) has been running since 20" in told
        assert scene.result("drift")["outcome"] == "skipped"
        first.send_signal(signal.SIGTERM)
        printed, _ = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "stop: stopped before its end" in printed
    assert scene.result()["outcome"] == "stop"
    assert enforce(scene, "run", "drift") == 0
    assert [run["outcome"] for run in json.loads((scene.state / "results/drift.json").read_text())["runs"]] == ["ok", "skipped"]


def test_the_history_is_bounded(scene: Scene) -> None:
    scene.commit(site="")
    for _ in range(4):
        enforce(scene, history=3)
    assert len(json.loads((scene.state / "results/hourly-site.json").read_text())["runs"]) == 3


def test_starts_that_did_nothing_do_not_push_out_what_was_done(scene: Scene) -> None:
    scene.commit(site="")
    enforce(scene)
    with (scene.state / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for _ in range(5):
            enforce(scene, history=3)
    runs = json.loads((scene.state / "results/hourly-site.json").read_text())["runs"]
    assert [run["outcome"] for run in runs] == ["skipped", "skipped", "ok"]


def test_the_failure_unit_says_one_line(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    unit = "kerio-archive-hourly-site.service"
    scene.commit(site=WRITES + "sys.exit(2)")
    assert enforce(scene, "tell", unit) == 0
    assert capsys.readouterr().out == f"kerio-archive hourly-site FAILED without a result: journalctl -u {unit} tells more\n"
    enforce(scene)
    capsys.readouterr()
    enforce(scene, "tell", unit)
    line = capsys.readouterr().out
    assert line.startswith("kerio-archive hourly-site FAILED: ansible-playbook ended with status 2 in ")
    assert line.endswith("; first: mail2: it refused the login. Do it.\n")
    later = time.time() + 3600
    assert "FAILED without a result" in failure_text(scene.config(), unit, later)  # that was another run


def test_a_folder_for_metrics_that_cannot_be_written_fails_no_run(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.commit(site="")
    (scene.root / "file").touch()
    assert enforce(scene, textfile_dir=str(scene.root / "file" / "x")) == 0
    assert "the metrics are not written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lock_wait": "1 fortnight"}, "'1 fortnight' is no time span"),
        ({"offline": "maybe"}, "'maybe' is not run or refuse"),
        ({"colour": "red"}, "colour: this program does not know that"),
        ({"schedules": [{"name": "Bad Name", "playbook": "site", "time_limit": "1h", "max_age": "1h"}]}, "cannot be a name"),
        ({"schedules": [{"name": "a", "playbook": "../x", "time_limit": "1h", "max_age": "1h"}]}, "cannot be a playbook"),
        ({"schedules": []}, "schedule hourly-site: it is not declared (declared: none)"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told(
    scene: Scene, capsys: pytest.CaptureFixture[str], more: dict[str, t.Any], words: str
) -> None:
    assert enforce(scene, **more) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert words in line
