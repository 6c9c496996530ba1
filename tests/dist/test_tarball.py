# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as one file: it holds all that an operator needs and nothing else, and works where it is installed."""

from __future__ import annotations

import configparser
import io
import json
import shutil
import tarfile
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.dist import tarball
from tests.dist.installed import Installed
from tests.lab.fixtures import Lab

ROOT = tarball.ROOT
# Of the checkout's ansible.cfg alone: where the folders of the checkout are.
PATHS = {("defaults", name) for name in ("inventory", "collections_path", "roles_path", "library", "action_plugins")}
OWN_PLAYBOOK = [{"name": "Ensure the settings are known", "ansible.builtin.import_playbook": "mailops.kerio.adopt"}]


@pytest.fixture(scope="module")
def folder() -> t.Iterator[Path]:
    """A folder that is gone afterwards: secrets are planted there, which would be taken for some that were left behind."""
    with tempfile.TemporaryDirectory(prefix="kerio-dist-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return tarball.pack(folder)


@pytest.fixture(scope="module")
def installed(file: Path, folder: Path) -> Installed:
    there = Installed(folder / "operator")
    there.begin(file)
    shutil.copytree(ROOT / "inventory" / "lab", there.folder / "inventory" / "lab")
    return there


def settings(path: Path) -> dict[tuple[str, str], str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text(encoding="utf-8"))
    return {(section, name): value for section in parser.sections() for name, value in parser[section].items()}


def with_member(file: Path, copy: Path, member: tarfile.TarInfo, content: bytes = b"", without: str = "") -> Path:
    """Return a copy of the file with a member more, and one less."""
    with tarfile.open(file) as source, tarfile.open(copy, "w") as target:
        for one in source.getmembers():
            if one.name != without:
                target.addfile(one, source.extractfile(one) if one.isfile() else None)
        member.size = len(content)
        target.addfile(member, io.BytesIO(content))
    return copy


def test_versions_are_the_same_everywhere() -> None:
    versions = set(tarball.released().values())
    assert len(versions) == 1
    assert "" not in versions


def test_what_is_wanting_for_publishing_is_told_and_no_address_is_made_up(tmp_path: Path) -> None:
    galaxy = tmp_path / "galaxy.yml"
    text = (tarball.COLLECTION / "galaxy.yml").read_text(encoding="utf-8")
    galaxy.write_text(text, encoding="utf-8")
    assert tarball.unpublished(galaxy) == ["repository"]
    galaxy.write_text(f"{text}repository: https://git.kerio-archive.invalid/mailops\n", encoding="utf-8")
    assert tarball.unpublished(galaxy) == []
    for key in ("repository", "issues"):
        galaxy.write_text(f"{text}{key}: https://git.example.com/mailops\n", encoding="utf-8")
        with pytest.raises(tarball.PackagingError, match=f"{key}: .* is an address that nobody has"):
            tarball.unpublished(galaxy)


def test_it_holds_all_and_nothing_else(file: Path) -> None:
    assert tarball.faults(file) == []
    with tarfile.open(file) as tar:
        names = set(tar.getnames())
    modules = {path.name for path in tarball.tracked() if path.parent == ROOT / "library"}
    assert len(modules) >= 28
    assert {name.removeprefix("plugins/modules/") for name in names if name.startswith("plugins/modules/")} == modules
    assert "roles/controller/files/kerio_enforce/enforce.py" in names


@pytest.mark.parametrize(
    ("name", "content", "without", "told"),
    [
        ("plugins/modules/__pycache__/x.pyc", b"", "", "plugins/modules/__pycache__/x.pyc does not belong there"),
        ("inventory/mine/hosts.yml", b"", "", "inventory/mine/hosts.yml does not belong there"),
        ("docs/x.txt", b"it is not-a-secret", "", "docs/x.txt holds not-a-secret"),
        ("x.yml", b"$ANSIBLE_VAULT;1.1;AES256", "", "x.yml holds $ANSIBLE_VAULT;"),
        ("plugins/modules/own.py", b"", "", "plugins/modules/own.py is not of the checkout"),
        ("x", b"", "plugins/modules/archive_run.py", "plugins/modules/archive_run.py is missing"),
        ("x", b"", "playbooks/vars/summary.yml", "playbooks/vars/summary.yml is missing"),
        ("x", b"", "requirements.txt", "requirements.txt is missing"),
    ],
)
def test_what_must_not_be_published_is_found(
    file: Path, folder: Path, name: str, content: bytes, without: str, told: str
) -> None:
    other = with_member(file, folder / "other.tar", tarfile.TarInfo(name), content, without)
    assert told in tarball.faults(other)


def test_link_is_found(file: Path, folder: Path) -> None:
    link = tarfile.TarInfo("plugins/more")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    assert tarball.faults(with_member(file, folder / "other.tar", link)) == ["plugins/more is no plain file"]


def test_settings_of_ansible_are_those_of_the_checkout_without_its_paths() -> None:
    checkout = settings(ROOT / "ansible.cfg")
    assert set(checkout) >= PATHS
    assert settings(tarball.COLLECTION / "ansible.cfg") == {key: value for key, value in checkout.items() if key not in PATHS}


def test_module_is_documented_by_its_full_name(installed: Installed) -> None:
    told = installed.run("doc", "--json", "mailops.kerio.archive_run")
    assert told.returncode == 0, told.stdout
    document = json.loads(told.stdout)["mailops.kerio.archive_run"]["doc"]
    assert document["filename"].startswith(str(installed.collection))


def test_playbooks_are_found_by_their_full_names(installed: Installed) -> None:
    done = installed.run("playbook", "-i", "inventory/example", "--syntax-check", "mailops.kerio.site")
    assert (done.returncode, done.stdout.strip()) == (0, f"playbook: {installed.collection}/playbooks/site.yml")


def test_playbook_works_out_of_one_that_an_operator_wrote(installed: Installed, lab: Lab) -> None:
    (installed.folder / "own.yml").write_text(yaml.safe_dump(OWN_PLAYBOOK), encoding="utf-8")
    variables = {"KERIO_LAB_JSON": str(lab.file), "KERIO_LAB_WORK_DIR": str(installed.folder)}
    done = installed.run("playbook", "-i", "inventory/lab", "--limit", "mail1", "own.yml", variables=variables)
    assert done.returncode == 0, done.stdout
    adopted = installed.folder / "inventory" / "lab" / "host_vars" / "mail1.yml"
    assert "kerio_connect_archiving:" in adopted.read_text(encoding="utf-8")
