# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that the project raises; ``runner`` turns them into ``fail_json`` in one place.

Every error names the object, the cause and the remedy. ``cause`` keeps the words of the server or of the operating system.
"""

from __future__ import annotations

import typing as t


class ArchiveToolError(Exception):
    """Base of every error that is an answer to the operator; anything else that escapes is a bug and shows its trace."""

    kind = "error"

    def __init__(self, subject: str, cause: str, remedy: str, **details: t.Any) -> None:
        super().__init__(subject, cause, remedy)
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        cause = self.cause.rstrip(". ")
        remedy = self.remedy.rstrip(". ")
        return f"{self.subject}: {cause}. {remedy}."

    def as_result(self) -> dict[str, t.Any]:
        """Return the machine-readable part of a failed result."""
        return dict(self.details, kind=self.kind, subject=self.subject, cause=self.cause, remedy=self.remedy)


class InputError(ArchiveToolError):
    """A declared value that cannot be used."""

    kind = "input"


class MissingLibraryError(ArchiveToolError):
    """A Python library is absent from the interpreter that runs the module."""

    kind = "missing_library"


class SecretInResultError(ArchiveToolError):
    """A secret is part of the data that a module is about to return, so Ansible would mask the data."""

    kind = "secret_in_result"


class NetworkError(ArchiveToolError):
    """A server cannot be reached, or it stopped answering."""

    kind = "network"


class CertificateError(NetworkError):
    """A TLS certificate cannot be verified."""

    kind = "certificate"


class ProtocolError(ArchiveToolError):
    """A server answered something that its protocol does not allow."""

    kind = "protocol"


class LoginRefusedError(ArchiveToolError):
    """A server refused a login; it must not be asked again with the same credentials in this run."""

    kind = "login_refused"


class ApiError(ArchiveToolError):
    """The Kerio admin API answered with an error; ``details`` hold ``method`` and ``code``."""

    kind = "api"


class SessionExpiredError(ApiError):
    """The admin session is gone (code -32001)."""

    kind = "session_expired"


class ItemError(ApiError):
    """A call succeeded, but some of its items did not; ``details['errors']`` lists them."""

    kind = "item"


class ImapError(ArchiveToolError):
    """An IMAP command was refused; the connection stays usable."""

    kind = "imap"


class CfgError(ArchiveToolError):
    """mailserver.cfg cannot be read, understood or written."""

    kind = "mailserver_cfg"


class ServiceError(ArchiveToolError):
    """The Kerio Connect service did not stop, start or become ready."""

    kind = "service"


class JobError(ArchiveToolError):
    """A detached job could not be started, or it died without a result."""

    kind = "job"


class BusyError(ArchiveToolError):
    """Another run holds the lock; ``details['holder']`` names it."""

    kind = "busy"


class StoreError(ArchiveToolError):
    """The archive root cannot be used, or an object in it is damaged."""

    kind = "store"


class EvidenceError(ArchiveToolError):
    """A checkpoint or a proof of the ledger cannot be read, or it does not prove what it should."""

    kind = "evidence"


class CatalogError(ArchiveToolError):
    """The catalog cannot be opened, or its format is not known."""

    kind = "catalog"


class UserPlanError(ArchiveToolError):
    """The set of archive users that is asked for contradicts itself or would remove too much."""

    kind = "users"


class AccessError(ArchiveToolError):
    """The archive's Dovecot does not take its files, or cannot be asked."""

    kind = "access"


class RelationError(ArchiveToolError):
    """Declared settings, today's and the archive side contradict each other; ``details['relations']`` lists all findings."""

    kind = "relation"
