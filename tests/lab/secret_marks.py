# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the secrets of the lab and of the tests in texts and files (tests/secrets_sweep.py says in which), and names them.

Every password of the lab and of the tests begins with one mark and goes on with its name, so that one look finds all of them and
can say which it was without saying what it is. Keys of TLS are known by the line that they begin with.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from pathlib import Path

MARK = "not-a-secret"
KEY = r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"
SECRET = re.compile(rf"{MARK}-?([a-z]*)|{KEY}(?=\\n|\s)")
NAMELESS = "of no name"

# Where a secret may be, and why. All else that holds one is a leak.
PLACES = {
    "*/lab*.json": "the lab says here how it is reached: it is what its inventory reads",
    "*.key": "a key that a test or the double has made for itself",
    "*.pem": "a certificate with its key, made by the test",
    "*/imap-commands.jsonl": "the double's own record of what it was told, for its tests",
    "*/vault.json": "the vault of an operator, written by the test",
    "*/vault.yml": "the vault of an operator, written by the test",
    "*/inventory.json": "the inventory of an operator, written by the test",
    "*/hosts.json": "the inventory of an operator, written by the test",
    "*/inventory/*": "the inventory of an operator, written by the test",
    "*/host_vars/*": "the inventory of an operator, written by the test",
    "*/group_vars/*": "the inventory of an operator, written by the test",
    "*/mailserver.cfg*": "Kerio's own file, which has passwords in it, and its backups, which keep its rights",
    "*/read_at_start": "what a stand-in for Kerio read of that file",
    "*/variables.json": "what a test gives to a playbook, in place of a vault",
    "*/control[0-9]*/vault": "the password of an operator's vault, which Ansible reads",
    "*/control[0-9]*/work*/tests/*": "a clone of this project: tests with the secrets that they use",
    "*/control[0-9]*/work*/docs/evidence.md": "a clone of this project: how a key is written into an inventory",
    "*/site-packages/*": "libraries that are installed, with documentation of keys",
    "*/kept/*": "modules that were packed for a playbook: code without data",
}
# Folders that are not looked into: a message is what a server sent, and the archive holds it compressed.
UNSEEN = ("objects", "cur", "site-packages")

found: list[str] = []


def names_in(text: str) -> list[str]:
    """The names of the secrets in a text."""
    hits = SECRET.finditer(text)
    return sorted({(hit[1] or NAMELESS) if hit[0].startswith(MARK) else "a private key" for hit in hits})


def hear(text: str, where: str) -> None:
    """Note the secrets of a text that nobody was to see."""
    if MARK in text or "PRIVATE KEY" in text:
        found.extend(f"{where}: {name}" for name in names_in(text))


def look(folder: Path) -> None:
    """Note the files below a folder that hold a secret and are no place for it."""
    # Not on the command line, which is looked at too.
    pattern = rf"{MARK}|{KEY}(\\n|$)".encode()
    skipped = [f"--exclude-dir={name}" for name in UNSEEN]
    command = ["grep", "--recursive", "--files-with-matches", "--text", "--null", "-E", *skipped, "--file=-", "."]
    environment = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=folder, env=environment, input=pattern, capture_output=True, check=False)
    for name in filter(None, done.stdout.decode("utf-8", "surrogateescape").split("\0")):
        if not any(fnmatch.fnmatch(name, place) for place in PLACES):
            text = (folder / name).read_bytes().decode("latin-1")
            found.extend(f"{folder}/{name[2:]}: {secret}" for secret in names_in(text) or [NAMELESS])
