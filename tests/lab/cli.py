# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.lab start|stop|status|logins --dir build/lab`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.lab import cli_lab, logins, ports, service, switches
from tests.lab.access import Access
from tests.lab.generate import fill


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.lab", description="Kerio Connect doubles on this machine.")
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "make and start a lab"),
        ("stop", "end it"),
        ("status", "say what runs"),
        ("logins", "count logins"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--dir", type=Path, required=True, help="the lab's folder; lab.json is written beside it")
        if name == "start":
            _start_options(command)
        if name == "stop":
            command.add_argument("--remove", action="store_true", help="also the mail that lies outside of it, in /var/tmp")
    return top


def _start_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--servers", type=int, default=2)
    command.add_argument("--users", type=int, default=6, help="people per server, beside the archive mailbox")
    command.add_argument("--messages", type=int, default=0, help="generated messages in all")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help="see tests/lab/switches.py")
    command.add_argument("--distributed", default="", metavar="DOMAIN", help="a domain that the servers share")
    command.add_argument("--keep", action="store_true", help="start the lab that is there, with its data")


def start(options: argparse.Namespace, folder: Path) -> int:
    chosen = dict(map(switches.parse_switch, options.switch))
    end(folder, remove=not options.keep)
    wanted = options.servers, options.users, chosen, options.distributed
    lab = cli_lab.read(folder) if options.keep else cli_lab.make(folder, *wanted)
    try:
        cli_lab.start(lab)
        if options.messages and not options.keep:
            placed = fill(lab, messages=options.messages, seed=options.seed)
            print(f"{len(placed):,} messages, archive copies included")
    except Exception:
        cli_lab.stop(folder)
        raise
    names = ", ".join(entry["name"] for entry in lab["servers"])
    print(f"Started: {names}; {cli_lab.lab_files(folder)[0]} says how to reach them")
    return 0


def end(folder: Path, *, remove: bool) -> None:
    """The servers, and the archive's Dovecot if the lab has one."""
    if access := Access.of(folder):
        access.stop()
    cli_lab.stop(folder, remove_mail=remove)


def stop(options: argparse.Namespace, folder: Path) -> int:
    end(folder, remove=options.remove)
    print("The lab has ended")
    return 0


def status(_options: argparse.Namespace, folder: Path) -> int:
    for entry in cli_lab.read(folder)["servers"]:
        pid = service.server_pid(Path(entry["mailserver_cfg"]).parent)
        state = "answers" if ports.is_open(entry["admin_port"]) else "does not answer"
        print(f"{entry['name']}: pid {pid or '-'}, {entry['admin_url']} {state}")
    return 0


def count_logins(_options: argparse.Namespace, folder: Path) -> int:
    """What reached each server; tests/lab/logins.py tells what the columns mean."""
    for entry in cli_lab.read(folder)["servers"]:
        rows = logins.table(Path(entry["mailserver_cfg"]).parent)
        print(f"{entry['name']}: {'  '.join(('count', *logins.KEYS))}", *rows, sep="\n")
    return 0


COMMANDS = {"start": start, "stop": stop, "status": status, "logins": count_logins}


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status; errors go to stderr in one line."""
    options = parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options, options.dir.absolute())
    except (cli_lab.LabError, ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
