# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is left out for variables that cannot be used: nobody else, with the cause, also when --limit leaves the server out."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import prepare
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader

Values = dict[str, t.Any]
BROKEN = object()
NOWHERE = "no file /nowhere"
CANNOT = "Its variables in the inventory cannot be used: "


class UnreadableError(Exception):
    pass


class Templates(dict[str, t.Any]):
    """Variables of which some cannot be read."""

    def __getitem__(self, key: str) -> t.Any:
        value = super().__getitem__(key)
        if value is BROKEN:
            raise UnreadableError from OSError(NOWHERE)
        return value


SERVERS: dict[str, Values] = {
    "broken": {"kerio_connect_imap_ca_file": BROKEN},
    "nameless": {"kerio_connect_name": BROKEN},
    "typed": {"kerio_connect_imap_timeout": "fast"},
    "twin1": {"kerio_connect_name": "twin"},
    "twin2": {"kerio_connect_name": "twin"},
    "strange": {"kerio_connect_archive_hosts": ["archive9"]},
    "lost": {"kerio_connect_archive_hosts": BROKEN},
    "shared": {},
    "fine": {"kerio_connect_archive_hosts": "archive2"},
}
# Of two archive hosts one deletes what the other one reads.
READS = {"name": "r", "method": "multidrop", "mailbox": "archive@one.example", "servers": ["shared"]}
KEEPERS: dict[str, Values] = {
    "archive1": {"archive_profiles": [{**READS, "delete": {"after_days": 7}}]},
    "archive2": {"archive_profiles": [READS]},
    "muddled": {"archive_users_scope": BROKEN},
}


def found(hosts: t.Iterable[str], servers: dict[str, Values] = SERVERS, keepers: dict[str, Values] = KEEPERS) -> prepare.Found:
    groups = {"kerio_servers": list(servers), "archive_hosts": list(keepers)}
    known = {name: Templates(values) for name, values in {**servers, **keepers}.items()}
    return prepare.look(Reader(known, UnreadableError), groups, list(hosts))


CAUSES = {
    "broken": NOWHERE,
    "typed": "kerio_connect_imap_timeout is fast. Give a whole number from 1 to 3600",
    "twin1": "kerio_connect_name is twin, as for twin2. Give each server a name of its own",
    "twin2": "kerio_connect_name is twin, as for twin1. Give each server a name of its own",
    "lost": NOWHERE,
}


def test_each_is_left_out_with_its_cause_and_nobody_else() -> None:
    facts = found([*SERVERS, *KEEPERS])["facts"]
    failures = {host: "; ".join(known.get("kerio_failures", known.get("archive_failures"))) for host, known in facts.items()}
    deletes = failures.pop("shared")
    assert deletes.startswith(
        "the profile r of archive1 deletes in a mailbox that several archive hosts read (archive1, archive2, "
    )
    assert failures == {
        "nameless": f"Its name cannot be used: {NOWHERE}",
        "strange": "kerio_connect_archive_hosts names archive9, which is no host of the group archive_hosts. Correct the name",
        "muddled": CANNOT + NOWHERE,
        **{name: CANNOT + cause for name, cause in CAUSES.items()},
    }
    wrong = {host for host, known in facts.items() if known.get("kerio_variables_wrong")}
    assert wrong == set(SERVERS) - {"fine"}
    assert facts["muddled"]["archive_variables_wrong"] is True
    assert (facts["nameless"]["kerio_connect_name"], facts["nameless"]["kerio_name_wrong"]) == ("nameless", True)
    # Only of those whose values can be read is it known at how many failed logins they act.
    assert {name for name in wrong if facts[name].get("kerio_values_refused")} == {"typed", "twin1", "twin2"}
    # Nobody forgets a server because it cannot be read whose it is.
    assert facts["lost"]["kerio_archived_by"] == list(KEEPERS)
    told = found([*SERVERS, *KEEPERS])["told"]
    assert f"muddled: {CANNOT}{NOWHERE}" in told and len(told) == len(facts)


def test_archive_hosts_tell_of_servers_that_the_run_leaves_out() -> None:
    facts = found(["archive1"])["facts"]
    told = facts["archive1"].pop("archive_failures")
    prefix = ", which the run leaves out: " + CANNOT
    causes = {**CAUSES, "nameless": "kerio_connect_name cannot be used"}
    assert [text for text in told if not text.startswith("shared")] == [
        f"{name}{prefix}{causes[name]}" for name in SERVERS if name in causes
    ]
    (deletes,) = [text for text in told if text.startswith("shared")]
    assert deletes.endswith("Let one of them archive the server, or take delete out of the profile")
    assert {host for host, known in facts.items() if known.get("kerio_variables_wrong")} == {*causes, "shared"}
    assert facts["shared"]["kerio_archived_by"] == list(KEEPERS)
    assert facts["nameless"]["kerio_connect_name"] == "nameless"


def test_what_another_archive_host_deletes_is_told_by_that_one_alone() -> None:
    facts = found(["archive2"])["facts"]
    assert not [text for text in facts["archive2"]["archive_failures"] if text.startswith("shared")]
    assert "shared" not in facts


@pytest.mark.parametrize("hosts", [["fine"], ["fine", "shared"]])
def test_a_run_without_archive_hosts_does_not_look_at_servers_that_it_leaves_out(hosts: list[str]) -> None:
    facts = found(hosts)["facts"]
    assert set(facts) == set(hosts) - {"fine"}
    assert found(hosts)["doubles"] == {"twin": ["twin1", "twin2"]}


def test_a_namesake_is_one_whatever_is_around_the_name() -> None:
    servers: dict[str, Values] = {"mail1": {}, "mail2": {"kerio_connect_name": " mail1"}}
    assert found(servers, servers, {})["doubles"] == {"mail1": ["mail1", "mail2"]}
