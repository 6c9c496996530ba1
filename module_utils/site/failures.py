# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible itself says of a failure, as a sentence that also says what to do."""

from __future__ import annotations

import re

SEE_ABOVE = "See above"
WRAPPING = re.compile(
    r"^(?:Task failed: )?(?:Finalization of task args for '[^']+' failed: )?(?:Error while resolving value for '[^']+': )?"
)
REMEDIES = (
    (r"is undefined$", "Define it in the inventory, or give the vault that has it, and run again"),
    (
        "become success|sudo: |become password",
        "Let ansible_user use sudo without a password, or give --ask-become-pass, and run again",
    ),
    ("interpreter .* was not found", "Run configure.yml, which installs it"),
)


def cause(text: object) -> str:
    """Return the cause alone, without what Ansible writes before it."""
    return WRAPPING.sub("", str(text)).strip()


def with_remedy(text: str) -> str:
    """Return a cause with what to do, where Ansible does not say so itself."""
    found = (f"{text}. {remedy}" for pattern, remedy in REMEDIES if re.search(pattern, text))
    return next(found, text)
