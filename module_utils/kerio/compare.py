# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a server with its declaration in one session: the plans of all kinds, and what must hold between them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import RelationError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import (
    accounts,
    address_groups,
    declare,
    kinds,
    master_authentication,
    meanings,
    relations,
    services,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.compare_state import LiveState
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.plan import NAMED, Change, Plan
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted, some

Options = t.Mapping[str, t.Any]
Declarer = t.Callable[[Server, t.Any, Options], Plan]
# What stands for the existence of an object.
STATE, PRESENT, ABSENT = "state", "present", "absent"


def _users(server: Server, users: t.Sequence[Options], params: Options) -> Plan:
    told = [{name: value for name, value in entry.items() if name != "password"} for entry in users]
    options = {"users": told, "whole_domains": params["whole_domains"], "delete_limit": params["delete_limit"]}
    return accounts.declare_users(server, options, True)


# In the order in which the modules are applied. Each plans as its module would in check mode.
DECLARERS: dict[str, Declarer] = {
    "ip_address_groups": lambda server, groups, _: address_groups.declare_groups(server, {"groups": groups}, True),
    "security_policy": lambda server, options, _: declare.declare_settings(server, kinds.SECURITY_POLICY, options, True),
    "services": lambda server, listed, _: services.declare_services(server, {"services": listed}, True),
    "users": _users,
    "master_authentication": lambda server, options, _: master_authentication.compare_master_authentication(server, options),
    "advanced_options": lambda server, options, _: declare.declare_settings(server, kinds.ADVANCED_OPTIONS, options, True),
    "archiving": lambda server, options, _: declare.declare_archiving(server, options, True),
}


@dataclass(frozen=True)
class Comparison:
    """``plans`` by kind of declaration; ``cannot_tell`` has a sentence for each relation that could not be looked at."""

    name: str
    plans: t.Mapping[str, Plan]
    findings: t.Sequence[Finding]
    cannot_tell: t.Sequence[str]
    today: Object

    @property
    def differing(self) -> list[str]:
        return [kind for kind, plan in self.plans.items() if plan.changed]

    def differences(self) -> list[Object]:
        return [row for kind, plan in self.plans.items() for change in plan.changes for row in _rows(kind, change)]

    def diff(self) -> Object:
        return Plan(self.name, tuple(change for plan in self.plans.values() for change in plan.changes)).diff()

    def sentence(self) -> str:
        """``mail1: 2 settings differ (archiving.enabled, users.a@example.com.enabled); 1 relation is violated``."""
        rows = self.differences()
        names = [".".join(filter(None, (row["kind"], row["key"], row["option"]))) for row in rows]
        verb = "differs" if len(rows) == 1 else "differ"
        texts = [f"{counted(len(rows), 'setting')} {verb} ({some(names, NAMED)})"] if rows else []
        open_findings = [finding for finding in self.findings if not finding.accepted]
        if open_findings:
            count = len(open_findings)
            texts.append(f"{counted(count, 'relation')} {'is' if count == 1 else 'are'} violated")
        return f"{self.name}: {'; '.join(texts) or 'everything is as declared'}"

    def as_result(self) -> Object:
        return {
            "differing": self.differing,
            "differences": self.differences(),
            "relations": [finding.as_result() for finding in self.findings],
            "cannot_tell": list(self.cannot_tell),
            "today": self.today,
        }

    def warnings(self, told: t.Sequence[str], refusing: bool, of_relations: bool = True) -> list[str]:
        """Return what is said as a warning: what was ``told`` while planning, unless a relation says the same, then relations.

        ``refusing``: refusals end the module, so they are no warnings. What would be refused if it were not accepted is one.
        ``of_relations``: whether relations are warnings at all.
        """
        own = [text for text in dict.fromkeys(told) if not any(text in finding.text for finding in self.findings)]
        return own + [
            f"{finding.text.rstrip('.')} ({finding.relation.id}{', accepted' if finding.accepted else ''})."
            for finding in (self.findings if of_relations else ())
            if not (refusing and finding.refuses) and not (finding.accepted and finding.relation.severity == relations.WARN)
        ]

    def refuse(self, warnings: t.Sequence[str]) -> None:
        """Raise ``RelationError`` when a relation is violated that refuses."""
        refusing = [finding for finding in self.findings if finding.refuses]
        if not refusing:
            return
        ids = ", ".join(dict.fromkeys(finding.relation.id for finding in refusing))
        subject, cause, remedy = refusing[0].problem
        if len(refusing) > 1:
            subject = self.name
            cause = f"{len(refusing)} relations are violated: {' '.join(finding.text for finding in refusing)}"
            remedy = "Correct what is declared"
        accept = f"if it is meant so, accept it in so many words (accept: [{ids}])"
        details = {name: value for name, value in self.as_result().items() if name in ("relations", "differing", "cannot_tell")}
        raise RelationError(subject, cause, f"{remedy.rstrip('. ')}; {accept}", warnings=list(warnings), **details)


def compare(server: Server, params: Options) -> Comparison:
    """Return how a server differs from its declaration; nothing is changed."""
    relations.refuse_unknown(server.name, params["accept"])
    server.expected["ip_address_group"] = {
        group["name"] for group in params["ip_address_groups"] or [] if group.get("state") != "absent"
    }
    plans = {kind: plan(server, params[kind], params) for kind, plan in DECLARERS.items() if params[kind] is not None}
    findings, cannot_tell = relations.check(LiveState(server, params, DECLARERS), params["accept"])
    return Comparison(server.name, plans, findings, cannot_tell, _today(server))


def _today(server: Server) -> Object:
    options = server.read(kinds.MASTER_AUTHENTICATION).options
    return {"master_authentication": {name: options.get(name) for name in master_authentication.COMPARED}}


def _rows(kind: str, change: Change) -> t.Iterator[Object]:
    for option, server, declared in _options(change):
        yield {
            "kind": kind,
            "key": change.key,
            "option": option,
            "server": server,
            "declared": declared,
            "meaning": meanings.meaning(change.kind, option, server),
        }


def _options(change: Change) -> list[tuple[str, t.Any, t.Any]]:
    if change.action == "create":
        return [(STATE, ABSENT, PRESENT)]
    if change.action == "delete":
        return [(STATE, PRESENT, ABSENT)]
    return [(option, *_apart(change.before.get(option), declared)) for option, declared in change.after.items()]


def _apart(server: t.Any, declared: t.Any) -> tuple[t.Any, t.Any]:
    """Return what differs of two values: of dictionaries, the keys that do."""
    if not (isinstance(server, dict) and isinstance(declared, dict)):
        return server, declared
    names = [name for name in declared if declared[name] != server.get(name)]
    return {name: server.get(name) for name in names}, {name: declared[name] for name in names}
