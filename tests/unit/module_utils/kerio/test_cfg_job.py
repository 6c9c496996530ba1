# SPDX-License-Identifier: GPL-3.0-or-later
"""The guarded edit when all goes well: what changes, what stays, and when there is nothing to do."""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Selector
from tests.unit.module_utils.kerio.cfg_edit import CFG, DELETE, EDITED, SAVED, Quiet, edit, leftovers
from tests.unit.module_utils.kerio.fake_kerio import FakeKerio


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    (tmp_path / "state").mkdir()
    fake = FakeKerio(tmp_path)
    fake.service().start()
    (tmp_path / "calls").unlink()
    yield fake
    fake.end()


def test_value_is_changed_in_the_file_that_the_server_wrote_at_its_stop(fake: FakeKerio) -> None:
    before = fake.service().processes()
    reporter = Quiet()
    result = edit(fake)(reporter)
    assert fake.cfg.read_bytes() == EDITED
    assert fake.read_at_start() == EDITED
    assert fake.calls() == ["stop", "start"]
    assert fake.service().processes() != before
    assert result["variables"] == [{"variable": "AutoExpungeOnDelete", "before": "1", "after": "0"}]
    assert result["reasons"] == ["AutoExpungeOnDelete is 1, not 0"]
    assert result["process"]["pid"] == fake.service().processes()[0].pid
    assert Path(result["backup_file"]).read_bytes() == SAVED
    assert reporter.lines[0] == "stopping the service; it may take 300 s"
    assert edit(fake).probe().reasons == []


def test_several_variables_change_in_one_stop(fake: FakeKerio) -> None:
    work = edit(fake, DELETE, Wanted(Selector(path="Imap/Greeting"), "hello"))
    assert [entry["after"] for entry in work(Quiet())["variables"]] == ["0", "hello"]
    assert fake.cfg.read_bytes() == EDITED.replace(b'"Greeting"/>', b'"Greeting">hello</variable>')
    assert fake.calls() == ["stop", "start"]


def test_owner_mode_attributes_and_link_are_kept(fake: FakeKerio, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    fake.cfg.rename(real / "mailserver.cfg")
    fake.cfg.symlink_to("real/mailserver.cfg")
    file = real / "mailserver.cfg"
    file.chmod(0o640)
    os.chown(file, 12345, 23456)
    os.setxattr(file, "user.note", b"kept")
    fake.set("keeps_file_at_stop")
    result = edit(fake)(Quiet())
    assert fake.cfg.is_symlink()
    for path in (file, Path(result["backup_file"])):
        info = path.stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o640, 12345, 23456)
        assert os.getxattr(path, "user.note") == b"kept"
    assert Path(result["backup_file"]).parent == real
    assert b">0<" in file.read_bytes()


def acl(group: int, mask: int, user: int = 4) -> bytes:
    """Return the ACL (the attribute's own format, version 2) that lets user 12345 read, beside owner, group and nobody else."""
    none = 0xFFFFFFFF
    entries = [(0x01, 6, none), (0x02, user, 12345), (0x04, group, none), (0x10, mask, none), (0x20, 0, none)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.parametrize("linked", [False, True], ids=["replaced", "written in place"])
def test_acl_is_kept(fake: FakeKerio, linked: bool) -> None:
    if linked:
        os.link(fake.cfg, fake.folder / "second-name")
    os.setxattr(fake.cfg, "system.posix_acl_access", acl(4, 4))
    inode = fake.cfg.stat().st_ino
    result = edit(fake)(Quiet())
    assert (fake.cfg.stat().st_ino == inode) is linked
    for path in (fake.cfg, Path(result["backup_file"])):
        assert os.getxattr(path, "system.posix_acl_access") == acl(4, 4)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_default_acl_of_the_folder_grants_nothing_on_the_new_file(fake: FakeKerio) -> None:
    fake.cfg.chmod(0o640)
    os.setxattr(fake.folder, "system.posix_acl_default", acl(7, 7, user=7))
    result = edit(fake)(Quiet())
    for path in (fake.cfg, Path(result["backup_file"])):
        assert os.listxattr(path) == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_old_backups_go_and_other_files_stay(fake: FakeKerio) -> None:
    for year in range(2001, 2006):
        (fake.folder / f"mailserver.cfg.kerio-archive.{year}0101T000000Z").touch()
    (fake.folder / "mailserver.cfg.bak").touch()
    result = edit(fake, keep=2)(Quiet())
    assert leftovers(fake) == ["mailserver.cfg.kerio-archive.20050101T000000Z", Path(result["backup_file"]).name]
    assert (fake.folder / "mailserver.cfg.bak").exists()


def test_two_backups_of_one_second_are_two_files(fake: FakeKerio) -> None:
    file = CfgFile(str(fake.cfg), fake.folder / "journal")
    written = {file.backup(b"a", 9), file.backup(b"b", 9), file.backup(b"c", 9)}
    assert sorted(path.read_bytes() for path in written) == [b"a", b"b", b"c"]


def test_probe_touches_nothing(fake: FakeKerio) -> None:
    process = fake.service().processes()
    names = sorted(fake.folder.rglob("*"))
    probe = edit(fake).probe()
    assert (probe.values, probe.reasons, [probe.process]) == (
        {"AutoExpungeOnDelete": "1"},
        ["AutoExpungeOnDelete is 1, not 0"],
        process,
    )
    assert (sorted(fake.folder.rglob("*")), fake.cfg.read_bytes(), fake.calls()) == (names, CFG, [])
    assert fake.service().processes() == process


def test_right_value_in_a_file_younger_than_the_process_is_not_applied(fake: FakeKerio) -> None:
    right = Wanted(Selector(name="AutoExpungeOnDelete"), "1")
    assert edit(fake, right).probe().reasons == []
    now = time.time() + 5
    os.utime(fake.cfg, (now, now))
    pid = fake.service().processes()[0].pid
    reason = f"process {pid} was started before the file was last changed, so it may not have read it"
    assert edit(fake, right).probe().reasons == [reason]


def age_process(fake: FakeKerio) -> None:
    """Wait until the process is older than a file that is changed now, by more than the grain of both clocks."""
    started = fake.service().processes()[0].started
    while time.time() < started + 0.2:
        time.sleep(0.01)


def test_file_that_was_put_back_with_its_old_time_is_not_applied(fake: FakeKerio) -> None:
    age_process(fake)
    put_back = fake.folder / "from-a-backup"
    put_back.write_bytes(EDITED)
    os.utime(put_back, (1, 1))
    put_back.replace(fake.cfg)
    assert "was started before the file was last changed" in edit(fake).probe().reasons[0]


def test_backup_tool_that_touches_the_inode_causes_no_restart(fake: FakeKerio) -> None:
    right = edit(fake, Wanted(Selector(name="AutoExpungeOnDelete"), "1"))
    right.settle(right.probe())
    age_process(fake)
    fake.cfg.chmod(0o600)
    assert right.probe().reasons == []
    # What was proven of one value says nothing about another.
    fake.cfg.write_bytes(EDITED)
    assert len(edit(fake).probe().reasons) == 1


def test_file_system_without_extended_attributes(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    def listxattr(path: Path) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))

    monkeypatch.setattr(os, "listxattr", listxattr)
    edit(fake)(Quiet())
    assert fake.cfg.read_bytes() == EDITED


def test_server_that_saves_its_file_later_is_not_restarted_for_it(fake: FakeKerio) -> None:
    edit(fake)(Quiet())
    fake.cfg.write_bytes(fake.cfg.read_bytes().replace(b"<!-- saved -->", b"<!-- saved again -->"))
    now = time.time() + 5
    os.utime(fake.cfg, (now, now))
    assert edit(fake).probe().reasons == []
    assert len(edit(fake, Wanted(Selector(path="Imap/Greeting"), "")).probe().reasons) == 1, "not a value that we started it on"


def test_right_value_without_a_process_is_not_applied_and_ends_with_the_service_running(fake: FakeKerio) -> None:
    fake.service().stop()
    right = edit(fake, Wanted(Selector(name="AutoExpungeOnDelete"), "1"))
    assert right.probe().reasons == ["the service is not running"]
    assert right(Quiet())["backup_file"] is None
    assert fake.service().ready.missing() == []
    assert leftovers(fake) == []


def test_file_that_is_a_mount_point_is_written_in_place(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == fake.cfg:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    inode = fake.cfg.stat().st_ino
    result = edit(fake)(Quiet())
    assert (fake.cfg.read_bytes(), fake.cfg.stat().st_ino) == (EDITED, inode)
    assert leftovers(fake) == [Path(result["backup_file"]).name]
    assert not (fake.folder / "state" / "in-place.json").exists()


def test_hard_link_is_kept(fake: FakeKerio) -> None:
    os.link(fake.cfg, fake.folder / "other-name")
    edit(fake)(Quiet())
    assert (fake.folder / "other-name").read_bytes() == EDITED
