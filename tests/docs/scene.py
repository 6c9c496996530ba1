# SPDX-License-Identifier: GPL-3.0-or-later
"""The place in which the commands of the docs are run: a checkout, two servers, and a machine that stands for all hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.play_server import PROGRAMS
from tests.lab.fixtures import Lab, LabServer
from tests.play import quick

ROOT = Path(__file__).parents[2]
# By the names that the docs use.
SERVERS = {"mail1.example.com": "mail1", "mail2.example.org": "mail2"}
VAULT_PASSWORD = "not-a-secret-vault-of-docs"
SECONDS = 120
ANSIBLE = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    arguments = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    request = {{"arguments": arguments, "folder": os.getcwd(), "answers": json.loads(open({answers!r}).read())}}
    socket.send_fds(server, [json.dumps(request).encode()], [1])
    sys.exit(int(server.recv(16) or 250))
"""
# Programs that are not run as they are, and what is done instead.
STAND_INS = {
    # Nothing is built: the targets are looked up. What `make venv` makes is here already.
    "make": '[ "$*" != venv ] || { mkdir -p .venv/bin; touch .venv/bin/activate; }; exec /usr/bin/make -n "$@"',
    # Other hosts are this one.
    "ssh": 'shift; exec bash -c "$*"',
    "sudo": 'while [ "${1#-}" != "$1" ]; do case "$1" in -u|-p) shift;; esac; shift; done; exec "$@"',
    # Nothing is started; the unit is one that the roles make.
    "systemctl": 'echo "$*" >> "{here}.log"; exec "{here}/units" "$@"',
    # Of this folder's home, not of the account that tests.
    "ssh-keygen": 'touch "$HOME/known_hosts"; exec /usr/bin/ssh-keygen -f "$HOME/known_hosts" "$@"',
    # Everything belongs to whoever tests. And there is no such group.
    "chown": 'exec /usr/bin/chown -R "$(id -u):$(id -g)" "${@:3}"',
    "chgrp": 'exec /usr/bin/chgrp -R "$(id -g)" "${@:3}"',
    "journalctl": 'exec "{here}/units" "$@"',
    "units": 'for unit; do :; done; [[ "$unit" =~ ^kerio-archive-[a-z*-]+(\\.service|\\.timer)?$ ]]',
    "editor": 'cp "$EDITED" "$1"',
}  # fmt: skip
GIT = """[user]
name = Dana
email = dana@example.com
[init]
defaultBranch = main
[url "{origin}"]
insteadOf = https://git.example.com/
"""


@dataclass
class Scene:
    """A scratch folder with all of it; ``places`` are words of the docs and what stands for them here."""

    folder: Path
    lab: Lab
    places: dict[str, str] = field(default_factory=dict)
    _plays: subprocess.Popen[bytes] | None = None

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def mine(self) -> Path:
        return self.checkout / "inventory" / "mine"

    @property
    def report(self) -> Path:
        """What site.yml and report.yml write as JSON, from when there are two servers."""
        return self.folder / "site.json"

    @property
    def first_report(self) -> Path:
        """What site.yml wrote."""
        return self.folder / "first.json"

    @property
    def units(self) -> Path:
        """What systemctl was told, if anything."""
        return self.folder / "bin.log"

    @property
    def _answers(self) -> Path:
        return self.folder / "answers.json"

    def server(self, name: str) -> LabServer:
        return self.lab[SERVERS[name]]

    def here(self, text: str) -> str:
        """The text with the places of this scene for those of the docs."""
        places = "|".join(re.escape(place) for place in sorted(self.places, key=len, reverse=True))
        return re.sub(rf"(?<![\w./])({places})", lambda found: self.places[found[0]], text)

    def path(self, place: str) -> Path:
        return Path(self.here(place))

    # -- what is there before ---------------------------------------------------------------------------------

    def build(self) -> None:
        """Lay out what there is before the first command, and start what plays."""
        mail1 = self.server("mail1.example.com")
        self.places["/opt/kerio/mailserver/"] = f"{mail1.install}/"
        self.places["mail1.example.com:4040"] = f"{mail1.host}:{mail1.admin_port}"
        self.places["mail3.example.net"] = "mail2.example.org"  # there is no third one
        for place in ("/tmp", "/srv", "/etc", "/var/lib", "/mnt", "/home", "/opt"):  # noqa: S108  not the real one
            self.places[f"{place}/"] = f"{self.folder}{place}/"
            (self.folder / place[1:]).mkdir(parents=True)
        (self.folder / "var" / "lib" / "kerio-archive").mkdir()
        self._check_out()
        self._start()

    def _check_out(self) -> None:
        """A checkout, and where it is pushed to."""
        left_out = shutil.ignore_patterns("__pycache__", ".*", "build", "tests")
        shutil.copytree(ROOT, self.checkout, symlinks=True, ignore=left_out)  # what commands write is not written there
        shutil.copy(ROOT / ".gitignore", self.checkout)
        shutil.rmtree(self.mine, ignore_errors=True)
        (self.checkout / ".venv" / "bin").mkdir(parents=True)
        (self.checkout / ".venv" / "bin" / "activate").touch()
        origin = self.folder / "origin"
        (self.folder / "home" / ".gitconfig").write_text(GIT.format(origin=f"{origin}/"), encoding="utf-8")
        for words in (
            ["init", "--quiet", "--bare", f"{origin}/kerio-archive.git"],
            ["init", "--quiet"],
            ["add", "."],
            ["commit", "--quiet", "--message", "Begin"],
            ["push", "--quiet", "--set-upstream", f"{origin}/kerio-archive.git", "main"],
        ):
            subprocess.run(["git", *words], cwd=self.checkout, env=self._environment(), check=True)

    def _start(self) -> None:
        tools, plays = self.folder / "bin", self.folder / "plays"
        tools.mkdir()
        for name, text in STAND_INS.items():
            self._tool(name, "#!/bin/bash\n" + text.replace("{here}", str(tools)) + "\n")
        for name in PROGRAMS:
            self._tool(name, ANSIBLE.format(python=sys.executable, socket=str(plays), answers=str(self._answers)))
        self.answer()
        (self.folder / "vault-password").write_text(f"{VAULT_PASSWORD}\n", encoding="utf-8")
        command = [sys.executable, "-m", "tests.docs.play_server", str(plays)]
        self._plays = subprocess.Popen(command, cwd=ROOT, env=self._environment(), stdin=subprocess.DEVNULL)
        patience = time.monotonic() + SECONDS
        while not plays.exists() and self._plays.poll() is None and time.monotonic() < patience:
            time.sleep(0.02)
        assert plays.exists(), "what plays did not start"

    def _tool(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def _environment(self) -> dict[str, str]:
        given = quick.environment()
        own = {
            "ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "vault-password"),
            "EDITED": str(self.folder / "edited"),
            "EDITOR": str(self.folder / "bin" / "editor"),
            "HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "RECORD_RESULTS": str(self.folder / "results.jsonl"),
        }
        return {**os.environ, **given, **own}

    # -- what the hosts are here ------------------------------------------------------------------------------

    def furnish(self, *servers: str, archives: t.Sequence[str] = ("archive1.example.com",)) -> None:
        """Write what an inventory must say here in addition: where the hosts are."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {
            "kerio_servers": {"vars": local, "hosts": {name: self._of_server(name) for name in servers}},
            "archive_hosts": {"vars": local, "hosts": {name: self._of_archive_host(name) for name in archives}},
        }
        (self.mine / "lab.json").write_text(json.dumps(hosts, indent=1), encoding="utf-8")

    def _of_server(self, name: str) -> dict[str, t.Any]:
        server = self.server(name)
        ready = {"host": server.host, "api_port": server.admin_port, "imap_port": server.imap_port}
        return {
            "kerio_connect_host": server.host,
            "kerio_connect_port": server.admin_port,
            "kerio_connect_password": server.admin_password,
            "kerio_connect_ca_file": server.ca_file,
            "kerio_connect_imap_port": server.imaps_port,
            "kerio_connect_imap_ca_file": server.ca_file,
            "kerio_connect_probe_python": sys.executable,
            "kerio_connect_ip_address_groups": [{"name": "Archive hosts", "entries": [{"host": "127.0.0.1"}]}],
            "kerio_mailserver_cfg_path": server.mailserver_cfg,
            "kerio_mailserver_cfg_become": False,
            "kerio_mailserver_cfg_state_dir": str(self.folder / name),
            "kerio_mailserver_cfg_service": {"script": server.service_script, "pid_file": server.pid_file},
            "kerio_mailserver_cfg_ready": ready,
        }

    def _of_archive_host(self, name: str) -> dict[str, t.Any]:
        number = name.removeprefix("archive").partition(".")[0].replace("1", "")
        return {
            "archive_host_root": f"{self.folder}/srv{number}/archive/kerio",
            "archive_host_python": sys.executable,
            "archive_host_become": False,
            "archive_host_address": "127.0.0.1",
        }

    def answer(self, **typed: str) -> None:
        """What is typed from now on where a program asks for the words, beside the password of the vault."""
        self._answers.write_text(json.dumps({"Vault password": VAULT_PASSWORD, **typed}), encoding="utf-8")

    def edited(self, text: str) -> None:
        """What an editor saves that is opened next."""
        (self.folder / "edited").write_text(text, encoding="utf-8")

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, text: str, **variables: str) -> str:
        """Type ``text`` into a shell that ends at the first thing that fails; return what it printed, and fail if it failed."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", self.here(text)],
            cwd=self.checkout,
            env={**self._environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        printed = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, f"status {done.returncode} of\n{text}\n{printed}"
        return printed

    def close(self) -> None:
        if self._plays:
            self._plays.terminate()
            self._plays.wait()
        shutil.rmtree(self.folder)
