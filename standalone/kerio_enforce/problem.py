# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that ends a run before its playbook begins."""

from __future__ import annotations

# What may be wrong before a playbook begins; each is a metric of its own. Who has no configuration has no place for metrics.
KINDS = ("dirty", "diverged", "missing", "signature", "unreachable")


class EnforceError(Exception):
    """Object, cause and remedy in one sentence; ``kind`` is one of ``KINDS`` or "configuration"."""

    def __init__(self, kind: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(kind, subject, cause, remedy)
        self.kind = kind
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.subject}: {self.cause.rstrip('. ')}. {self.remedy.rstrip('. ')}."
