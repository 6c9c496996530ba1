# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that cannot be archived as declared stops no archive host, also when --limit leaves it out, and is told at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.unit.playbooks.templating import PLAYBOOKS, ROOT

BROKEN = "{{ lookup('ansible.builtin.file', '/nowhere') }}"
SERVERS = {
    "broken": {"kerio_connect_imap_ca_file": BROKEN},
    "nameless": {"kerio_connect_name": BROKEN},
    "typed": {"kerio_connect_imap_timeout": "fast"},
    "twin1": {"kerio_connect_name": "twin"},
    "twin2": {"kerio_connect_name": "twin"},
    "shared": {},
    "fine": {},
}
# Of two archive hosts one deletes what the other one reads.
READS = {"name": "r", "method": "multidrop", "mailbox": "archive@one.example", "servers": ["shared"]}
KEEPERS = {"archive1": {"archive_profiles": [{**READS, "delete": {"after_days": 7}}]}, "archive2": {"archive_profiles": [READS]}}


def test_the_others_are_read(tmp_path: Path) -> None:
    keepers = {"vars": {"ansible_connection": "local"}, "hosts": KEEPERS}
    (tmp_path / "hosts.json").write_text(json.dumps({"kerio_servers": {"hosts": SERVERS}, "archive_hosts": keepers}), "utf-8")
    play = {
        "name": "Ensure it is told which servers are read",
        "hosts": "archive_hosts",
        "gather_facts": False,
        "vars_files": [str(PLAYBOOKS / "vars" / "servers.yml")],
        "tasks": [
            {
                "name": "Tell",
                "ansible.builtin.debug": {"msg": "read: {{ archive_servers_read | map(attribute='name') | join(' ') }}"},
            }
        ],
    }
    books = [{"ansible.builtin.import_playbook": str(PLAYBOOKS / f"{name}.yml")} for name in ("prepare", "failures")]
    (tmp_path / "book.json").write_text(json.dumps([books[0], play, books[1]]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        tmp_path / "hosts.json",
        "-l",
        "archive1",
        tmp_path / "book.json",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert "msg: 'read: fine'" in done.stdout, done.stdout
    summary = " ".join(done.stdout[done.stdout.rindex("TASK [") :].split())
    assert "6 failures, each told above as a whole" in summary, summary
    for name in ("broken", "nameless", "typed", "twin1", "twin2", "shared"):
        assert f" {name}" in summary, summary
    assert "kerio_connect_imap_timeout is fast. Give a whole number from 1 to 3600" in summary
    assert "kerio_connect_name is twin, as for twin2. Give each server a name of its own" in summary
    assert "Let one of them archive the server, or take delete out of the profile" in summary
