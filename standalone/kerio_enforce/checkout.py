# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout: fetched, compared, verified, and only then made the one that is run."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import files
from .config import Config
from .problem import EnforceError

NAMED_FILES = 5
MOVING, VERSION = "moving.json", "version.json"  # in the state: the commit that is being checked out; the version run last
# Nothing that a repository, or the account's own configuration, says may run a program.
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")
_REFS = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_OUTDATED = (
    "requirements.txt: the Python environment was made from another one. Run playbooks/controller.yml, which makes it anew."
)


@dataclass
class Checkout:
    """What is run.

    ``committed``: seconds since the epoch; ``fetched``: whether the remote could be asked; ``outdated``: whether the Python
    environment was made from another requirements.txt.
    """

    commit: str
    committed: int
    fetched: bool
    verified: bool
    outdated: bool
    warnings: list[str] = field(default_factory=list)


class Git:
    """git in the checkout. ``_config`` says how the remote is reached."""

    def __init__(self, config: Config, environment: t.Mapping[str, str] | None = None) -> None:
        self._config = config
        self._environment = {
            **(os.environ if environment is None else environment),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": config.ssh_command,
            "LC_ALL": "C.UTF-8",
            "GNUPGHOME": str(config.state / "gnupg"),
        }
        signers = config.allowed_signers or "/dev/null"
        self._options = [*_SAFE, "-c", f"gpg.ssh.allowedSignersFile={signers}", "-c", "credential.helper="]
        if config.token:
            self._options += ["-c", f"credential.helper={_helper(config.token, self._environment)}"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever it answers; one that hangs answers 124."""
        command = ["git", *self._options, *arguments]
        try:
            child = subprocess.Popen(
                command,
                cwd=self._config.checkout,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            return subprocess.CompletedProcess(command, 127, "", str(error))
        try:
            said, problem = child.communicate(timeout=self._config.git_timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # with the ssh that hangs
            child.communicate()
            return subprocess.CompletedProcess(command, 124, "", f"no answer within {self._config.git_timeout} s")
        return subprocess.CompletedProcess(command, child.returncode, said, problem)

    def ok(self, *arguments: str) -> str | None:
        """What a command printed, None when it failed."""
        done = self.run(*arguments)
        return done.stdout.strip() if done.returncode == 0 else None


def _helper(token: str, environment: t.Mapping[str, str]) -> str:
    """The command that gives the token to git; it is read from the file, so that it is on no command line."""
    file = Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent"), token)
    return shlex.join([sys.executable, "-I", str(Path(__file__).parent / "credential.py"), str(file)])


def update(config: Config, git: Git) -> Checkout:
    """Bring the checkout to what is declared; raises ``EnforceError`` when nothing may be run."""
    where = str(config.checkout)
    _repair(config, git)
    _begin(config, git)
    asked = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if asked.returncode not in (0, 1):  # 1: nothing was ever checked out
        raise _unreadable(where, asked)
    head = asked.stdout.strip() or None
    _refuse_dirty(where, git)
    done = git.run("fetch", "--quiet", "--force", "--prune", "--no-write-fetch-head", "--", config.repository, *_REFS)
    warnings = []
    if done.returncode:
        unreachable = EnforceError(
            "unreachable",
            f"repository {config.repository}",
            f"it cannot be fetched ({_line(done.stderr)})",
            "Check the network, the key or token, and known_hosts of the controller",
        )
        if config.offline == "refuse" or head is None:
            raise unreachable
        warnings.append(f"{unreachable} What is checked out is run as it is.")
    target, tag = (head, _tag_at(config, git, head)) if done.returncode and head else _target(config, git, head)
    verified = _verify(config, git, tag or target) if config.verify_signature else False
    if target != head:
        _move(config, git, target)
    if files.read_json(config.state / VERSION).get("version") != config.version:
        files.write_json(config.state / VERSION, {"version": config.version})
    committed = int(git.ok("log", "-1", "--format=%ct", target) or 0)
    outdated = _outdated(config)
    if outdated:
        warnings.append(_OUTDATED)
    return Checkout(target, committed, not done.returncode, verified, outdated, warnings)


def _begin(config: Config, git: Git) -> None:
    """Make an empty checkout where there is none."""
    folder = config.checkout
    if (folder / ".git" / "HEAD").exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        full = any(path.name != ".git" for path in folder.iterdir())
    except OSError as error:
        raise EnforceError("missing", str(folder), str(error), "Correct who owns it, or run playbooks/controller.yml") from error
    if full:
        raise EnforceError("missing", str(folder), "it is no Git work tree and not empty", "Move away what is in it")
    done = git.run("init", "--quiet")
    if done.returncode:
        raise EnforceError("missing", str(folder), _line(done.stderr), "Check that git is installed, and the disk")


def _unreadable(where: str, done: subprocess.CompletedProcess[str]) -> EnforceError:
    cause = f"git cannot tell what is in it ({_line(done.stderr) or done.returncode})"
    return EnforceError(
        "missing", f"checkout {where}", cause, "Check the disk, or remove the checkout: the next run makes it anew"
    )


def _refuse_dirty(where: str, git: Git) -> None:
    done = git.run("status", "--porcelain", "--untracked-files=all")
    if done.returncode:
        raise _unreadable(where, done)
    changed = done.stdout.splitlines()
    if changed:
        named = ", ".join(line[2:].strip() for line in changed[:NAMED_FILES])
        more = f" and {len(changed) - NAMED_FILES} more" if len(changed) > NAMED_FILES else ""
        remedy = "Commit such changes elsewhere and push them, then take these away (git status tells all)"
        raise EnforceError("dirty", f"checkout {where}", f"it was changed by hand: {named}{more}", remedy)


def _tag_at(config: Config, git: Git, head: str) -> str:
    """The declared tag, if it is one and what is checked out; its own signature counts then."""
    name = f"refs/tags/{config.version}"
    return name if git.ok("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") == head else ""


def _target(config: Config, git: Git, head: str | None) -> tuple[str, str]:
    """The commit to run, and the tag that names it. Both may only go forward, so that nobody brings back an old state."""
    branch = git.ok("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{config.version}^{{commit}}")
    tag = git.ok("rev-parse", "--verify", "--quiet", f"refs/tags/{config.version}^{{commit}}")
    if branch is None and tag is None:
        subject = f"repository {config.repository}"
        raise EnforceError("missing", subject, f"it has no branch or tag {config.version}", "Correct controller_version")
    target = branch or tag or ""
    # Another tag may be declared as one likes, but the same one is not taken elsewhere.
    same = branch is not None or files.read_json(config.state / VERSION).get("version") == config.version
    if head is not None and same and git.run("merge-base", "--is-ancestor", head, target).returncode:
        raise EnforceError(
            "diverged",
            f"checkout {config.checkout}",
            f"{head[:10]}, which is checked out, is not in the history of {config.version} ({target[:10]})",
            f"Somebody rewrote that {'branch' if branch else 'tag'} or committed here: find out who, then remove the checkout: "
            "the next run makes it anew",
        )
    return target, "" if branch else f"refs/tags/{config.version}"


def _verify(config: Config, git: Git, name: str) -> bool:
    """Refuse what is not signed by one of those who may. A tag with a message of its own has its own signature."""
    _keyring(config)
    asked = git.run("cat-file", "-t", name)
    if asked.returncode:
        raise _unreadable(str(config.checkout), asked)
    kind = asked.stdout.strip()
    done = git.run(f"verify-{kind}", name)
    signed_as = _signed_as(git, name) if kind == "tag" else config.version
    if done.returncode == 0 and signed_as != config.version:
        cause = f"it was signed as {signed_as}, and somebody gave it another name"
        raise EnforceError(
            "signature", f"tag {config.version} of {config.repository}", cause, "Nothing of it is run. Find out who pushed it"
        )
    if done.returncode:
        commit = git.ok("rev-parse", "--short=10", f"{name}^{{commit}}") or name
        said = _line(done.stderr) or "it has no signature"
        raise EnforceError(
            "signature",
            f"{kind} {name.removeprefix('refs/tags/') if kind == 'tag' else commit} of {config.repository}",
            f"its signature is not one that is accepted ({said})",
            "Nothing of it is run. Have it signed with a key of controller_allowed_signers or controller_gpg_keys",
        )
    return True


def _signed_as(git: Git, name: str) -> str:
    """The name in the tag itself; that of the ref is not signed."""
    head = (git.ok("cat-file", "tag", name) or "").partition("\n\n")[0].splitlines()
    return next((line.removeprefix("tag ") for line in head if line.startswith("tag ")), "")


def _keyring(config: Config) -> None:
    """Make the keyring of GPG anew from the declared keys, so that one that is no longer declared does not count."""
    home = config.state / "gnupg"
    try:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700, parents=True)
        if config.gpg_keys:
            # What cannot be imported accepts no signature.
            command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--import", config.gpg_keys]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=config.git_timeout, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        cause = f"the keyring for signatures cannot be made ({_line(str(error))})"
        raise EnforceError("signature", str(home), cause, "Nothing is run. Check the disk, and that gpg is installed") from error


def _move(config: Config, git: Git, target: str, *how: str) -> None:
    """Check a commit out; a note says so until it is done, because nobody but the program may finish it."""
    files.write_json(config.state / MOVING, {"target": target})
    done = git.run("checkout", "--quiet", *how, "--detach", target)
    if done.returncode:
        remedy = "Check the disk and who owns the files"
        raise EnforceError("missing", f"checkout {config.checkout}", _line(done.stderr), remedy)
    (config.state / MOVING).unlink()


def _repair(config: Config, git: Git) -> None:
    """Take up what a run left that was killed or lost its power. No git of ours holds a lock for longer than its timeout."""
    folder = config.checkout / ".git"
    target = files.read_json(config.state / MOVING).get("target")
    patience = 0 if target else config.git_timeout
    for lock in (path for pattern in ("*.lock", "objects/*.lock", "refs/**/*.lock") for path in folder.glob(pattern)):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime >= patience:
                lock.unlink()
    if not target:
        return
    if git.run("cat-file", "-e", f"{target}^{{commit}}").returncode == 0:
        _move(config, git, str(target), "--force")  # it was verified before, and is again before it is run
    else:
        (config.state / MOVING).unlink()


def _outdated(config: Config) -> bool:
    """Whether the Python environment, which the account may not change, was made from another requirements.txt."""
    try:
        return Path(config.checkout, "requirements.txt").read_bytes() != Path(config.requirements).read_bytes()
    except OSError:
        return False


def _line(text: str) -> str:
    """What a program said, as part of a sentence."""
    return " ".join(text.split())[:300].rstrip(". ")
