# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes that their server does not open because the account is disabled.

It is the usual first step of leaving and so in every run until somebody enables the account, so it is told as a warning. Whether
Kerio opens such a mailbox to a master is not documented: who gets in reads it.
"""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verdict
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, LoginRefusedError

TOLD = (
    "the archive user {user} is disabled; its mail cannot be read until the account is enabled on the server ({cause}). What is"
    " in the archive stays, and so does what is in the mailbox"
)


def withheld(mailbox: Mailbox, error: ArchiveToolError) -> bool:
    """Whether ``error`` is the plain refusal of this very mailbox, and the catalog says that its user is disabled.

    Another answer (BYE, a closed connection, NO to a password) may have another cause, which must not be hidden.
    """
    refused = isinstance(error, LoginRefusedError) and verdict.can_be(error) == (verdict.NO_MAILBOX,)
    return refused and bool(mailbox.report.disabled)


def give_up(mailbox: Mailbox, error: ArchiveToolError, cause: ArchiveToolError) -> None:
    """Write down why a mailbox cannot be looked at. ``cause``: what its server said, if it was not asked again."""
    report = mailbox.report
    report.withheld = withheld(mailbox, cause)
    report.error = TOLD.format(user=report.disabled, cause=cause.cause.rstrip(". ")) if report.withheld else str(error)
