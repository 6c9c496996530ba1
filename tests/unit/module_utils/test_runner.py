# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules end: results, failures, and data that Ansible would mask."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, SecretInResultError
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan, settings_change
from ansible_collections.mailops.kerio.plugins.module_utils.runner import Outcome, outcome_of, refuse_secrets, run

SECRET = "kerio"


class Ended(Exception):  # noqa: N818 - it is the end of a module, not an error
    pass


class Module:
    """The part of AnsibleModule that the runner uses."""

    def __init__(self, diff: bool = True) -> None:
        self._diff = diff
        self.warnings: list[str] = []
        self.result: dict[str, t.Any] = {}

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {**result, "failed": False}
        raise Ended

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {**result, "failed": True}
        raise Ended


def end(outcome: Outcome | Exception, *, diff: bool = True, secrets: t.Sequence[str | None] = ()) -> Module:
    module = Module(diff)

    def work() -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(Ended):
        run(t.cast(t.Any, module), work, secrets)
    return module


def test_outcome_becomes_the_result() -> None:
    module = end(Outcome(True, "mail1: done", diff={"before": "", "after": "x"}, warnings=["careful"], data={"calls": ["A.b"]}))
    assert module.result == {
        "changed": True,
        "msg": "mail1: done",
        "diff": {"before": "", "after": "x"},
        "calls": ["A.b"],
        "failed": False,
    }
    assert module.warnings == ["careful"]


@pytest.mark.parametrize(("asked", "diff"), [(False, {"before": "", "after": "x"}), (True, None)])
def test_diff_is_returned_only_when_it_is_asked_for_and_there(asked: bool, diff: dict[str, t.Any] | None) -> None:
    assert "diff" not in end(Outcome(True, "m", diff=diff), diff=asked).result


def test_error_becomes_a_failed_result_with_its_parts() -> None:
    module = end(ApiError("mail1: Archive.get", "no right.", "Use another account.", code=1004))
    assert module.result["failed"] is True
    assert module.result["msg"] == "mail1: Archive.get: no right. Use another account."
    assert module.result["error"] == {
        "kind": "api",
        "subject": "mail1: Archive.get",
        "cause": "no right.",
        "remedy": "Use another account.",
        "code": 1004,
    }


def test_warnings_of_a_failure_are_told_as_warnings() -> None:
    module = end(ApiError("mail1: Archive.get", "no right.", "Use another account.", warnings=["not verified"]))
    assert module.warnings == ["not verified"]
    assert "warnings" not in module.result["error"]


def test_bug_is_not_caught() -> None:
    with pytest.raises(KeyError):
        run(t.cast(t.Any, Module()), lambda: t.cast(Outcome, {}["x"]))


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"users": [{"address": "alice@kerio.example"}]}, "result.users[0].address"),
        ({"users": {"alice@kerio.example": 1}}, "a key of result.users"),
        ({"tuple": ("a", "my kerio")}, "result.tuple[1]"),
        ({"exact": "kerio"}, "result.exact"),
    ],
)
def test_data_that_contains_a_secret_is_refused(data: dict[str, t.Any], where: str) -> None:
    module = end(Outcome(False, "m", data=data), secrets=[None, "", SECRET])
    assert module.result["failed"] is True
    assert module.result["error"]["kind"] == "secret_in_result"
    assert module.result["error"]["subject"] == where


def test_secret_is_not_in_the_message_that_refuses_it() -> None:
    with pytest.raises(SecretInResultError) as caught:
        refuse_secrets({"x": "not-a-secret-at-all"}, ["not-a-secret-at-all"])
    assert "not-a-secret" not in str(caught.value)


def test_empty_secrets_refuse_nothing() -> None:
    assert end(Outcome(False, "m", data={"a": "kerio", "b": 1, "c": None}), secrets=[None, ""]).result["failed"] is False


def test_outcome_of_a_plan_sees_calls_that_come_later() -> None:
    change = settings_change("archiving", {"enabled": False}, {"enabled": True}, {})
    assert change is not None
    calls = ["Archive.set"]
    outcome = outcome_of(Plan("mail1", (change,)), "archiving", False, calls, [])
    calls.append("Session.logout")
    assert outcome.msg == "mail1: changed archiving (enabled)"
    assert outcome.data == {"calls": ["Archive.set", "Session.logout"], "plan": {"create": 0, "change": 1, "delete": 0}}


def test_refused_result_still_tells_whether_anything_was_changed() -> None:
    for changed in (True, False):
        result = end(Outcome(changed, "m", data={"address": "alice@kerio.example"}), secrets=[SECRET]).result
        assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, changed, "secret_in_result")


@pytest.mark.parametrize(("secret", "warnings"), [("12345", 1), ("123456", 0), ("", 0), (None, 0)])
def test_short_password_is_warned_of_without_being_told(secret: str | None, warnings: int) -> None:
    said = end(Outcome(False, "m"), secrets=[secret]).warnings
    assert len(said) == warnings
    assert "12345" not in "".join(said)
