# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away Dovecot that tries files before they go live: one bad line would lock everybody out.

It has a directory of its own, listens on one UNIX socket, and three probes log in to it that exist nowhere else: a reader and an
auditor with a password of their own, who read a real tree, and one whom the Lua script is asked about and must not know. Nobody
asks Kerio. What the probes are granted is that tree under a name of its own, so that no archive in use is opened.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_files, access_instance, access_names
from ansible_collections.mailops.kerio.plugins.module_utils.errors import AccessError

SOCKET = "trial"
START_SECONDS = 20.0
LOG_SECONDS = 2.0
# Blanks and signs, as names of those who left have them: auth_username_chars has to let them pass.
_READER, _AUDITOR, _ASKED = "trial (reader, {})", "trial (auditor, {})", "trial's unknown {}"
_RIGHTS = b"lr"
_REFUSED = "AUTHENTICATIONFAILED"
_LOG, _RUN = "log", "run"
HOME = "home"
_INBOX = "INBOX"
_REMEDY = "Correct it where it comes from, then run again: nothing was put in use, and what was tried stays in {}"

_OVERRIDES = """
base_dir = {next}/run
state_dir = {next}/lib
log_path = {next}/log
info_log_path =
debug_log_path =
protocols = imap
auth_failure_delay = 0 secs
auth_verbose = yes
service imap {{
  vsz_limit = 0
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  unix_listener trial {{
    mode = 0600
  }}
}}
"""
_CLOSED = """service {} {{
  inet_listener {} {{
    port = 0
  }}
}}
"""


# Rights are told by a plugin that the archive need not have.
_TELLING_RIGHTS = """protocol imap {{
  mail_plugins = {} imap_acl
}}
"""


def _words(answer: t.Any) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else "nothing"


def _quoted(name: str) -> str:
    """A name for imaplib, which quotes none by itself. Labels have neither quotes nor backslashes."""
    return f'"{name}"'


class _UnfitError(Exception):
    """Something that Dovecot does not call an error."""


class OverSocket(imaplib.IMAP4):
    """IMAP over a UNIX socket, whose path stands in the place of the host."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(self.host)
        except OSError:
            connection.close()
            raise
        return connection


def _runs(group: int) -> bool:
    """Whether a process of a group still runs; one that waits for its parent to hear of its end does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, of = stat.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                return True
    return False


class Trial:
    """One trial in a directory that holds everything that would be live."""

    def __init__(self, state: str, folder: Path, candidates: t.Collection[str]) -> None:
        self._state = state
        self._candidates = candidates
        self._next = folder
        self._configuration = folder / "dovecot.conf"
        self._mark, self._password = secrets.token_hex(8), secrets.token_urlsafe(24)
        self._reader, self._auditor, self._asked = (name.format(self._mark) for name in (_READER, _AUDITOR, _ASKED))
        self._label = f"trial-{self._mark}"
        self._shared = f"{access_files.PREFIX}{self._label}"

    def additions(self) -> dict[str, str]:
        """What the trial needs behind the files that it tries."""
        reader, auditor, asked = map(access_names.in_passwd_file, (self._reader, self._auditor, self._asked))
        secret, home = f"{{PLAIN}}{self._password}", f"{self._next}/{HOME}"
        acl, shared = access_files.grant(self._reader, self._label)
        return {
            access_files.ACL: acl,
            access_files.SHARED: shared,
            access_files.USERS: "".join(f"{user}:{secret}::::::\n" for user in (reader, auditor))
            + f"{asked}:::::::{access_files.ASK_KERIO}\n",
            access_files.OWNERS: "".join(
                f"{user}:::::{home}::{more}\n"
                for user, more in ((reader, ""), (auditor, access_files.audits(str(self._next))), (asked, ""), (self._label, ""))
            ),
            "dovecot.conf": _OVERRIDES.format(next=self._next),
        }

    def run(self) -> None:
        """Try everything; AccessError says what Dovecot does not take."""
        listed = access_instance.run(access_instance.DOVECONF, "-x", "-c", str(self._configuration))
        if listed.returncode != 0:
            raise self._failure(listed.stderr)
        if access_instance.setting(self._configuration, "plugin/acl_globals_only") != "yes":
            raise self._failure(
                "", "acl_globals_only is not yes, so that Dovecot would read and write files of rights in the trees"
            )
        plugins = access_instance.setting(self._configuration, "mail_plugins", "protocol=imap")
        closed = "".join(_CLOSED.format(*listener) for listener in access_instance.listeners(self._configuration))
        with self._configuration.open("a", encoding="utf-8") as file:
            file.write(closed + _TELLING_RIGHTS.format(plugins))
        problem = self._problem()
        log = self._log()
        if problem or access_instance.complaint(log):
            raise self._failure(log, problem)

    def _problem(self) -> str:
        """What the probes did not find as it must be, "" for nothing. Dovecot has ended then, and its log is whole."""
        with (self._next / "out").open("wb") as out:
            process = subprocess.Popen(
                [access_instance.DOVECOT, "-F", "-c", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
            )
        problem = "it was interrupted"
        try:
            self._ask(process)
            problem = ""
        except (OSError, imaplib.IMAP4.error, _UnfitError) as error:
            problem = str(error)
        finally:
            self._end(process)
        return problem

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """The master ends the others, and its log last. All at once would have it begin a log anew, which calls that an error."""
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # The log may outlive the master, and write down then what the others told it last.
        deadline = time.monotonic() + LOG_SECONDS
        while _runs(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _ask(self, process: subprocess.Popen[bytes]) -> None:
        with self._connected(process) as imap:
            if "STARTTLS" in imap.capabilities:
                # Certificate and key have to fit each other; whose they are is for the clients to judge.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                imap.starttls(context)
            self._log_in(imap, self._reader)
            self._open(imap, _INBOX)
            self._list(imap)
        with self._connected(process) as imap:
            self._log_in(imap, self._auditor)
            self._open(imap, self._shared)
        with self._connected(process) as imap:
            self._refused(imap, self._asked)

    def _log_in(self, imap: imaplib.IMAP4, user: str) -> None:
        imap.authenticate("PLAIN", lambda _: f"\0{user}\0{self._password}".encode())

    def _list(self, imap: imaplib.IMAP4) -> None:
        """The one archive that was granted. An auditor's LIST has Dovecot look at all archives, and there may be thousands."""
        _status, listed = imap.list('""', _quoted(self._shared))
        if listed == [None]:
            raise _UnfitError(f"a probe is not shown {self._shared}")

    def _open(self, imap: imaplib.IMAP4, folder: str) -> None:
        """Open an archive: it must be there, and read by right alone, whatever the file system says besides."""
        opened, said = imap.select(_quoted(folder), readonly=True)
        if opened != "OK":
            raise _UnfitError(f"a probe cannot open an archive: {_words(said[0])}")
        _status, answer = imap.myrights(_quoted(folder))
        if set((answer[0] or b"").split()[-1:]) != {_RIGHTS}:
            raise _UnfitError(f"a probe has other rights on an archive than {_RIGHTS.decode()}: {_words(answer[0])}")

    def _refused(self, imap: imaplib.IMAP4, user: str) -> None:
        """Somebody whom the Lua script does not know: refused, and not for a lack of an answer."""
        try:
            self._log_in(imap, user)
        except imaplib.IMAP4.error as error:
            if _REFUSED not in str(error):
                raise
        else:
            raise _UnfitError("a probe that nobody knows was let in")

    def _log(self) -> str:
        """What the trial's Dovecot said, before and after it had a log."""
        return "".join(
            Path(self._next, name).read_text("utf-8", "replace") for name in ("out", _LOG) if Path(self._next, name).exists()
        )

    def _failure(self, text: str, cause: str = "") -> AccessError:
        """The error for what Dovecot said, in its own words where it has any."""
        words = access_instance.complaint(text) or cause or text.strip() or "it gave no reason"
        if _REFUSED in words:
            words = access_instance.remark(text) or words
        # Templates are tried as copies; the operator knows the candidate.
        for name in self._candidates:
            words = words.replace(f"{self._next}/{name}", f"{self._state}/candidate/{name}")
        return AccessError("the trial of the archive's Dovecot", words, _REMEDY.format(self._next))

    @contextlib.contextmanager
    def _connected(self, process: subprocess.Popen[bytes]) -> t.Iterator[OverSocket]:
        deadline = time.monotonic() + START_SECONDS
        path = str(self._next / _RUN / SOCKET)
        while True:
            try:
                imap = OverSocket(path, timeout=START_SECONDS)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline or access_instance.complaint(self._log()):
                    raise
                time.sleep(0.02)
        try:
            yield imap
        finally:
            # After a handshake that failed nothing is there to be closed, and what it failed of is to be told.
            with contextlib.suppress(OSError):
                imap.shutdown()
