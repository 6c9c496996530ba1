# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: the lab, three runs of playbooks/site.yml, somebody who reads her archive, a summary, and build/demo.json."""

from __future__ import annotations

import imaplib
import json
import os
import pwd
import shutil
import smtplib
import sys
import time
import typing as t
from email.message import EmailMessage

import requests

from tests.lab import cli
from tests.lab.access import Access, AccessError
from tests.lab.demo_report import Expectation, problems, summary, totals
from tests.lab.dovecot import can_traverse
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook

BUILD = ROOT / "build"
LAB = BUILD / "lab"
LAB_JSON = BUILD / "lab.json"
DEMO = BUILD / "demo"
REPORT = BUILD / "demo.json"
PAGE = DEMO / "report.html"
INVENTORY = ROOT / "inventory" / "lab"
SITE = ROOT / "playbooks" / "site.yml"
MESSAGES = 3000
NEW_MAILS = (("mail1", "alice"), ("mail1", "dora"), ("mail2", "ines"))
READER = ("mail1", "alice")
WORDS = "delivered by SMTP"  # in the body of the new mails alone
APPLICATION = {"name": "demo", "vendor": "kerio-archive", "version": "1"}


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


def main(arguments: list[str]) -> int:
    """Start or stop the demo; return the exit status."""
    if arguments == ["stop"]:
        return cli.main(["stop", "--dir", str(LAB), "--remove"])
    if arguments != ["start"]:
        print("usage: python -m tests.lab.demo start|stop", file=sys.stderr)
        return 2
    try:
        return start()
    except (AccessError, DemoError, imaplib.IMAP4.error, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def start() -> int:
    """Run the whole demo; return 0 only when each run did exactly what it should."""
    began = time.monotonic()
    access = prepare()
    runs = [run_site("Run 1: two servers as they come from the installer, nothing archived yet")]
    access.start()
    runs.append(run_site("Run 2: nothing happened in between"))
    deliver_new_mail()
    change_behind_our_back()
    runs.append(run_site("Run 3: three new mails, and one setting changed by hand"))
    report: dict[str, t.Any] = {
        "runs": [totals(run) for run in runs],
        "seconds": round(time.monotonic() - began, 1),
        "archive": str(DEMO / "archive"),
        "reader": read_archive(access),
    }
    report["problems"] = problems(report, Expectation(messages=MESSAGES, new_mails=len(NEW_MAILS)))
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(summary(report, servers()))
    return 1 if report["problems"] else 0


def prepare() -> Access:
    """Start a fresh lab with generated mail and a place for the archive's Dovecot, and forget the archive of an earlier demo."""
    print(f"==== The lab: two Kerio Connect doubles with {MESSAGES:,} generated messages\n", flush=True)
    if cli.main(["start", "--dir", str(LAB), "--servers", "2", "--messages", str(MESSAGES)]):
        raise DemoError(f"the lab did not start; its logs are below {LAB}")
    access = Access.provide(LAB)
    make_work_dir(access)
    return access


def make_work_dir(access: Access) -> None:
    """An empty DEMO; elsewhere if this checkout lies where Dovecot, which does not run as root, cannot read the archive."""
    if DEMO.is_symlink():
        DEMO.unlink()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.parent.mkdir(exist_ok=True)
    if os.geteuid() or can_traverse(DEMO, pwd.getpwnam(access.entry["user"])):
        DEMO.mkdir()
    else:
        (access.folder / "demo").mkdir()
        DEMO.symlink_to(access.folder / "demo")
    DEMO.chmod(0o755)


def read_archive(access: Access) -> dict[str, t.Any]:
    """Log in to the archive with somebody's Kerio password and search all folders; return how, and how many are found."""
    server, login = READER
    users = next(one["users"] for one in servers() if one["name"] == server)
    user = next(one for one in users if one["login"] == login)
    found = 0
    with access.login(user["address"], user["password"]) as client:
        for flags, _, name in client.list_folders():
            if b"\\Noselect" not in flags:
                client.select_folder(name, readonly=True)
                found += len(client.search(["BODY", WORDS]))
    reached = {"host": access.entry["host"], "port": access.port, "ca_file": access.ca_file}
    return {**reached, "user": user["address"], "password": user["password"], "words": WORDS, "found": found}


def servers() -> list[dict[str, t.Any]]:
    """Return what build/lab.json says of the servers."""
    described: list[dict[str, t.Any]] = json.loads(LAB_JSON.read_text(encoding="utf-8"))["servers"]
    return described


def run_site(title: str) -> PlaybookRun:
    """Run site.yml with its output on the terminal."""
    print(f"\n==== {title}", flush=True)
    run = run_playbook(SITE, "-e", f"site_report_html={PAGE}", inventory=INVENTORY, show=True)
    if run.rc:
        raise DemoError(f"playbooks/site.yml ended with status {run.rc}; the lines above say why")
    return run


def deliver_new_mail() -> None:
    """Send one mail by SMTP to each of three mailboxes."""
    by_name = {server["name"]: server for server in servers()}
    for number, (name, login) in enumerate(NEW_MAILS, start=1):
        server = by_name[name]
        recipient = next(user["address"] for user in server["users"] if user["login"] == login)
        mail = EmailMessage()
        mail["From"] = "a customer <customer@elsewhere.example>"
        mail["To"] = recipient
        mail["Subject"] = f"Order {number}, sent between two runs"
        mail["Message-ID"] = f"<order-{number}@elsewhere.example>"
        mail.set_content("This mail was delivered by SMTP after the second run of the demo.\n")
        with smtplib.SMTP(server["host"], server["smtp_port"], timeout=30) as smtp:
            smtp.send_message(mail)


def change_behind_our_back() -> None:
    """Switch the archiving of relayed messages off on the first server, as an administrator could in the GUI."""
    server = servers()[0]
    with requests.Session() as session:
        session.verify = server["ca_file"]
        session.trust_env = False  # a CA bundle of the environment would win over ours

        def call(method: str, params: dict[str, t.Any]) -> dict[str, t.Any]:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            answer = session.post(server["admin_url"], json=body, timeout=30).json()
            if answer.get("error"):
                raise DemoError(f"{server['name']}: {method}: {answer['error']}")
            result: dict[str, t.Any] = answer["result"]
            return result

        login = {"userName": server["admin_user"], "password": server["admin_password"], "application": APPLICATION}
        session.headers["X-Token"] = call("Session.login", login)["token"]
        options = call("Archive.get", {})["options"]
        call("Archive.set", {"options": {**options, "archiveRelayedMessages": False}})
        call("Session.logout", {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
