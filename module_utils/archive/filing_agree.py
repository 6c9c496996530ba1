# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether both methods file a user's mail under the same folder names (the notice of the guide on multidrop). Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Person, expand

# What of a multidrop profile stands for which folder of a mailbox.
TEMPLATES = (("inbox", "target_folder"), ("sent", "sent_folder"))


@dataclass(frozen=True)
class FiledFolder:
    """A folder in a user's tree that a mailbox profile makes: of which kind, and its name."""

    profile: str
    user_id: int
    role: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Templates:
    """The target folders of a multidrop profile."""

    profile: str
    target_folder: str
    sent_folder: str


def disagreements(templates: Templates, people: t.Iterable[Person], filed: t.Iterable[FiledFolder]) -> list[str]:
    """A warning for each template whose folders differ from those of mailbox profiles for the same users. Case counts."""
    by_user: dict[tuple[int, str], list[FiledFolder]] = defaultdict(list)
    for one in filed:
        by_user[one.user_id, one.role].append(one)
    return [
        warning
        for role, key in TEMPLATES
        if (warning := _differences(templates.profile, key, getattr(templates, key), role, list(people), by_user))
    ]


def _differences(
    profile: str,
    key: str,
    template: str,
    role: str,
    people: t.Sequence[Person],
    by_user: t.Mapping[tuple[int, str], list[FiledFolder]],
) -> str:
    found: list[tuple[Person, tuple[str, ...], FiledFolder]] = []
    for person in people:
        own = [one for one in by_user.get((person.id, role), ()) if one.parts[0] == person.primary]
        names = {expand(template, person.primary, address) for address in person.addresses or (person.primary,)}
        odd = sorted(names - {one.parts for one in own})
        if own and odd:
            found.append((person, odd[0], own[0]))
    if not found:
        return ""
    person, name, one = found[0]
    users = f"{len(found):,} users, among them {person.name}" if len(found) > 1 else person.name
    return (
        f"profile {profile}, key {key}: for {users}, mail goes to {'/'.join(name)}, and profile {one.profile} files the same"
        f" user's mail in {'/'.join(one.parts)}; set {key} to {{u-email}}/{'/'.join(one.parts[1:])} so that both use one folder"
    )
