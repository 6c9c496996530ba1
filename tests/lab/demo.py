# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: the lab, three runs of playbooks/site.yml, a summary that a person can read, and build/demo.json."""

from __future__ import annotations

import json
import shutil
import smtplib
import sys
import time
import typing as t
from email.message import EmailMessage

import requests

from tests.lab import cli
from tests.lab.demo_report import Expectation, problems, summary, totals
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook

BUILD = ROOT / "build"
LAB = BUILD / "lab"
LAB_JSON = BUILD / "lab.json"
DEMO = BUILD / "demo"
REPORT = BUILD / "demo.json"
INVENTORY = ROOT / "inventory" / "lab"
SITE = ROOT / "playbooks" / "site.yml"
MESSAGES = 3000
NEW_MAILS = (("mail1", "alice"), ("mail1", "dora"), ("mail2", "ines"))
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
    except (DemoError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def start() -> int:
    """Run the whole demo; return 0 only when each run did exactly what it should."""
    began = time.monotonic()
    prepare()
    runs = [run_site("Run 1: two servers as they come from the installer, nothing archived yet")]
    runs.append(run_site("Run 2: nothing happened in between"))
    deliver_new_mail()
    change_behind_our_back()
    runs.append(run_site("Run 3: three new mails, and one setting changed by hand"))
    report: dict[str, t.Any] = {
        "runs": [totals(run) for run in runs],
        "seconds": round(time.monotonic() - began, 1),
        "archive": str(DEMO / "archive"),
    }
    report["problems"] = problems(report["runs"], Expectation(messages=MESSAGES, new_mails=len(NEW_MAILS)))
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(summary(report, servers()))
    return 1 if report["problems"] else 0


def prepare() -> None:
    """Start a fresh lab with generated mail, and forget the archive of an earlier demo."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    print(f"==== The lab: two Kerio Connect doubles with {MESSAGES:,} generated messages\n", flush=True)
    if cli.main(["start", "--dir", str(LAB), "--servers", "2", "--messages", str(MESSAGES)]):
        raise DemoError(f"the lab did not start; its logs are below {LAB}")


def servers() -> list[dict[str, t.Any]]:
    """Return what build/lab.json says of the servers."""
    described: list[dict[str, t.Any]] = json.loads(LAB_JSON.read_text(encoding="utf-8"))["servers"]
    return described


def run_site(title: str) -> PlaybookRun:
    """Run site.yml with its output on the terminal."""
    print(f"\n==== {title}", flush=True)
    run = run_playbook(SITE, inventory=INVENTORY, show=True)
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
