# SPDX-License-Identifier: GPL-3.0-or-later
"""SearchQuery over lists of records (sheet 1.6)."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable
from typing import Any

from tests.lab.admin_rpc import bad_params
from tests.lab.switches import Switches
from tests.lab.users import Record

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessEq": operator.le,
    "GreaterEq": operator.ge,
}
# Named constants: in `fields` they stand for whole sets of members (Server.getNamedConstantList).
FIELD_SETS = {
    "LIST_USERS": ("id", "loginName", "fullName", "description", "domainId", "isEnabled"),
    "ADD_USERS": ("id", "loginName", "fullName", "description"),
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """What differs between interfaces: the members behind QUICKSEARCH, wild cards in Like, case."""

    quick: tuple[str, ...] = ()
    wild_cards: bool = True
    case_sensitive: bool = True


PLAIN = Rules()


def _comparable(stored: Any, value: str) -> tuple[Any, Any]:
    if isinstance(stored, bool):
        return stored, value.lower() in ("1", "true")
    if isinstance(stored, int):
        try:
            return stored, int(value)
        except ValueError:
            return str(stored), value
    return str(stored), value


def _like(stored: Any, value: str, rules: Rules) -> bool:
    """A substring; % stands for anything, except where the interface knows no wild cards."""
    pattern = re.escape(value)
    if rules.wild_cards:
        pattern = pattern.replace("%", ".*")
    return re.search(pattern, str(stored), re.IGNORECASE | re.DOTALL) is not None


def _holds(record: Record, condition: Record, rules: Rules) -> bool:
    field, value = condition["fieldName"], condition["value"]
    comparator = condition.get("comparator", "Eq")
    if field == "QUICKSEARCH":
        return any(_like(record.get(name, ""), value, rules) for name in rules.quick)
    if field not in record:
        return False
    if comparator == "Like":
        return _like(record[field], value, rules)
    stored, wanted = _comparable(record[field], value)
    if not rules.case_sensitive and isinstance(stored, str):
        stored, wanted = stored.lower(), wanted.lower()
    return COMPARE[comparator](stored, wanted)


def _check(query: Record) -> None:
    conditions = query.get("conditions", [])
    for condition in conditions:
        if "fieldName" not in condition or "value" not in condition:
            raise bad_params("incomplete condition")
        if condition.get("comparator", "Eq") not in (*COMPARE, "Like"):
            raise bad_params("unknown comparator")
        if condition["fieldName"] == "isWritableByMe":
            raise bad_params("isWritableByMe cannot be searched for")
    if query.get("combining", "And") not in ("And", "Or", ""):
        raise bad_params("unknown combining")
    if query.get("combining") == "Or" and any(c["fieldName"] == "itemSource" for c in conditions):
        raise bad_params("itemSource cannot be used in an Or query")


def _sorted(rows: list[Record], order: list[Record], rules: Rules) -> list[Record]:
    for column in reversed(order):
        if column.get("direction", "Asc") not in ("Asc", "Desc"):
            raise bad_params("unknown direction")
        exact = column.get("caseSensitive", False) and rules.case_sensitive
        name = column["columnName"]

        def key(row: Record, name: str = name, exact: bool = exact) -> Any:
            value = row.get(name, "")
            return value if isinstance(value, int) else str(value) if exact else str(value).lower()

        rows = sorted(rows, key=key, reverse=column.get("direction") == "Desc")
    return rows


def run(rows: list[Record], query: Record, how: Switches, rules: Rules = PLAIN) -> Record:
    """`{list, totalItems}`: totalItems counts the hits before start and limit. A partial query is a wider one."""
    _check(query)
    conditions = query.get("conditions", [])
    join = any if query.get("combining") == "Or" else all
    hits = [r for r in rows if not conditions or join(_holds(r, c, rules) for c in conditions)]
    hits = _sorted(hits, query.get("orderBy", []), rules)
    start, limit = query.get("start", 0), query.get("limit", -1)
    limits = [n for n in (limit, how.list_limit or -1) if n >= 0]
    page = hits[start:][: min(limits)] if limits else hits[start:]
    return {"list": [_only(r, query.get("fields", [])) for r in page], "totalItems": len(hits)}


def _only(record: Record, fields: list[str]) -> Record:
    wanted = {name for field in fields for name in FIELD_SETS.get(field, (field,))}
    return {k: v for k, v in record.items() if k in wanted} if wanted else record
