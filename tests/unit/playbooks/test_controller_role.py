# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role controller writes: a configuration that its program takes, and units that systemd takes."""

from __future__ import annotations

import getpass
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from standalone.kerio_enforce import config as configuration

ROLE = Path(__file__).parents[3] / "roles" / "controller"
DECLARED = {
    "inventory_hostname": "control1",
    "ansible_managed": "Ansible",
    "controller_repository": "git@example.com:ops/mail.git",
    "controller_schedules": [
        {"name": "hourly-site", "playbook": "site", "on_calendar": "hourly", "time_limit": "2h", "extra_vars": {"one": 1}},
        {"name": "drift", "playbook": "drift", "on_calendar": "*:0/15", "max_age": "1h", "limit": "mail1", "check": True},
    ],
}


class Role:
    """Its variables beside those that are declared."""

    def __init__(self, **declared: t.Any) -> None:
        loader = DataLoader()
        variables: dict[str, t.Any] = {}
        for name in ("defaults", "vars"):
            variables |= loader.load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True)
        self._variables = {**variables, **DECLARED, **declared}
        self._loader = loader

    def __getitem__(self, name: str) -> t.Any:
        return self.rendered(f"{{{{ {name} }}}}")

    def rendered(self, text: str, **more: t.Any) -> t.Any:
        return Templar(loader=self._loader, variables={**self._variables, **more}).template(trust_as_template(text))

    def file(self, name: str, **more: t.Any) -> str:
        return str(self.rendered((ROLE / "templates" / name).read_text(encoding="utf-8"), **more))


def test_the_program_takes_what_the_role_writes() -> None:
    role = Role(
        controller_vault_password_file="/etc/secret/vault", controller_verify_signature=True, controller_allowed_signers=["x"]
    )
    config = configuration.parse(role["controller_enforce"])
    assert (config.checkout, config.version) == (Path("/var/lib/kerio-archive-controller/checkout"), "main")
    assert (config.vault, config.token, config.gpg_keys) == ("vault-password", "", "")
    assert config.allowed_signers == "/etc/kerio-archive-controller/allowed_signers"
    assert config.ssh_command == (
        "ssh -i /var/lib/kerio-archive-controller/.ssh/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes"
        " -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o UserKnownHostsFile=/etc/kerio-archive-controller/known_hosts"
    )
    site, drift = config.schedules["hourly-site"], config.schedules["drift"]
    assert (site.time_limit, site.max_age, site.limit, site.check, site.extra_vars) == (7200, 26 * 3600, "", False, {"one": 1})
    assert (drift.time_limit, drift.max_age, drift.limit, drift.check) == (3 * 3600, 3600, "mail1", True)
    assert (config.lock_wait, config.grace, config.git_timeout, config.history) == (600, 60, 120, 100)
    declared = {*configuration.Config.__dataclass_fields__} - {"log_bytes"}
    assert set(role["controller_enforce"]) == declared


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://git.example.com/ops/mail.git", False),
        ("ssh://git@git.example.com/ops/mail.git", False),
        ("https://bot:s3cret@git.example.com/ops/mail.git", True),
        ("HTTPS://s3cret@git.example.com/ops/mail.git", True),
    ],
)
def test_a_secret_in_the_url_is_refused_before_anything_is_written(url: str, refused: bool) -> None:
    assert Role(controller_repository=url)["controller_secret_in_url"] is refused


def test_units_are_such_as_systemd_takes(tmp_path: Path) -> None:
    python = tmp_path / "program/python/bin/python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    role = Role(
        controller_program=str(tmp_path / "program"),
        controller_home="/var",
        controller_account=getpass.getuser(),
        controller_vault_password_file="/etc/secret/vault",
        controller_on_failure="/bin/echo %i",
    )
    units = [tmp_path / "kerio-archive-failed@.service"]
    units[0].write_text(role.file("failed.service.j2"), encoding="utf-8")
    for schedule in role["controller_schedules"]:
        for kind in ("service", "timer"):
            units.append(tmp_path / f"kerio-archive-{schedule['name']}.{kind}")
            units[-1].write_text(role.file(f"schedule.{kind}.j2", schedule=schedule), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "kerio-archive" in line]
    assert (ours, done.returncode) == ([], 0), done.stderr
    text = units[1].read_text(encoding="utf-8")
    assert "LoadCredential=vault-password:/etc/secret/vault\n" in text
    assert "TimeoutStartSec=2h 10min 2min 1min 5min\n" in text
    assert "ReadWritePaths=/var /var/lib/kerio-archive-metrics\n" in text
    assert text.count("\nExecStart=") == 1 and " run hourly-site\n" in text


@pytest.mark.parametrize(
    ("names", "bad"),
    [(["a", "hourly-site2"], []), (["access"], ["access"]), (["Up", "a b", "-x", "x-"], ["Up", "a b", "-x", "x-"])],
)
def test_names_that_no_unit_can_have_are_refused(names: list[str], bad: list[str]) -> None:
    schedules = [{"name": name, "playbook": "site", "on_calendar": "hourly"} for name in names]
    assert Role(controller_schedules=schedules)["controller_bad_names"] == bad


def test_a_secret_that_others_may_read_is_refused() -> None:
    stats = [{"exists": True, "mode": "0400", "uid": 0}, {"exists": False}]
    looked = [{"item": path, "stat": stat} for path, stat in zip(("/fine", "/x"), stats, strict=True)]
    assert Role(controller_secret_files={"results": looked})["controller_open_files"] == ["/x is not there"]


def test_only_units_that_are_not_declared_are_removed() -> None:
    names = ["hourly-site.service", "drift.timer", "old.timer", "old.service", "drift-2.service"]
    found = {"files": [{"path": f"/etc/systemd/system/kerio-archive-{name}"} for name in names]}
    gone = Role(controller_found=found)["controller_undeclared"]
    assert [Path(path).name for path in gone] == [
        "kerio-archive-old.timer", "kerio-archive-old.service", "kerio-archive-drift-2.service",
    ]  # fmt: skip
    assert len(Role(controller_found=found, controller_schedules=[])["controller_undeclared"]) == 5


def test_either_kind_of_signer_will_do() -> None:
    assert Role()["controller_signers"] == []
    assert (
        Role(controller_gpg_keys=["x"])["controller_signers"]
        == Role(controller_allowed_signers=["x"])["controller_signers"]
        == ["x"]
    )


def test_signers_and_known_hosts_are_written_line_by_line() -> None:
    texts = Role(controller_known_hosts=["one two\n", "three"], controller_gpg_keys=["-----BEGIN\nx\n-----END\n"])[
        "controller_texts"
    ]
    assert texts == {"known_hosts": "one two\nthree\n", "allowed_signers": "", "gpg_keys.asc": "-----BEGIN\nx\n-----END\n"}
