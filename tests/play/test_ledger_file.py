# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/vars/ledger.yml: what a file of checkpoints is read as, whatever an editor or Git did to its line ends."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.lab.playbooks import ROOT

ROOT_HASH = "A" * 43 + "="
UNSIGNED = f"archive1/srv\n7\n{ROOT_HASH}\n\n"
SIGNED = f"archive1/srv\n8\n{ROOT_HASH}\n\n\N{EM DASH} archive1/srv AAAA\n\N{EM DASH} witness BBBB\n"
BOTH = [UNSIGNED, SIGNED]


def told(folder: Path, text: str | None) -> tuple[t.Any, ...]:
    """The checkpoints, the text that the next one is appended to, and whether that is all of the file."""
    if text is not None:
        (folder / "archive1.checkpoints").write_bytes(text.encode())
    loader = DataLoader()
    variables = loader.load_from_file(str(ROOT / "playbooks/vars/ledger.yml"), trusted_as_template=True)
    facts = {"archive_ledger_checkpoints_dir": str(folder), "inventory_hostname": "archive1"}
    templar = Templar(loader, variables={**variables, **facts})
    names = ("archive_ledger_checkpoints", "archive_ledger_text", "archive_ledger_readable")
    return tuple(templar.template(variables[name]) for name in names)


@pytest.mark.parametrize(
    ("text", "checkpoints"),
    [
        (None, []),
        ("", []),
        (f"{UNSIGNED}\n", [UNSIGNED]),
        (f"{SIGNED}\n", [SIGNED]),
        (f"{UNSIGNED}\n{SIGNED}\n", BOTH),
        (f"{SIGNED}\n{UNSIGNED}\n{SIGNED}\n", [SIGNED, *BOTH]),
        # The empty lines at the end are gone, or there are more of them.
        (f"{UNSIGNED}\n{SIGNED}", BOTH),
        (f"{UNSIGNED}\n{SIGNED}\n\n\n", BOTH),
        (UNSIGNED.strip() + "\n", [UNSIGNED]),
        (SIGNED.strip(), [SIGNED]),
    ],
)
def test_every_checkpoint_is_read_and_the_next_one_can_be_appended(
    tmp_path: Path, text: str | None, checkpoints: list[str]
) -> None:
    appendable = "".join(f"{checkpoint}\n" for checkpoint in checkpoints)
    assert told(tmp_path, text) == (checkpoints, appendable, True)


@pytest.mark.parametrize(
    "text",
    [
        f"{UNSIGNED}\n\n{SIGNED}\n",
        f"{UNSIGNED}\nnothing\n",
        f"{UNSIGNED}\n{SIGNED}\n".replace("\n", "\r\n"),
        f"{UNSIGNED}\n<<<<<<< ours\n{SIGNED}\n>>>>>>> theirs\n",
    ],
)
def test_what_is_no_checkpoint_is_not_overlooked(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text)[2] is False
