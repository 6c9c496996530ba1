# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``archive_report`` does: the report is written as JSON and as a page, and mailed. What fails of these stops no other."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data, report_mail, report_page, report_words
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError, StoreError

Data = dict[str, t.Any]
MODE = 0o600
SENT = "The report was mailed to {}"


@dataclass(frozen=True)
class Output:
    """One thing to be made: ``subject`` names it when it fails; ``make`` returns what is told of it, "" for nothing."""

    subject: str
    make: t.Callable[[], str]


def declare(params: Data, check_mode: bool) -> Data:
    """What the module was asked for; the fields of ``runner.Outcome``."""
    report = report_data.report_of(params["facts"], params["stale_days"])
    outputs = [one for one in (_json(params, report, check_mode), _html(params, report, check_mode)) if one]
    mailing = mailing_of(params["mail"])
    outputs += [Output("mail", lambda: _mail(mailing, params, report, check_mode))] if mailing else []
    told, errors = [], []
    for output in outputs:
        try:
            told.append(output.make())
        except ArchiveToolError as error:
            errors.append({"output": output.subject, "message": str(error), **error.as_result()})
    done = [text for text in told if text]
    sentence = report_words.sentence(report)
    return {
        "changed": bool(done),
        "msg": " ".join(error["message"] for error in errors) or "; ".join([sentence, *done]),
        "diff": {"before": {}, "after": {"done": done} if done else {}},
        "warnings": mailing.warnings() if mailing else [],
        "data": {"sentence": sentence, "outcome": report["outcome"], "done": done, "errors": errors},
        "failed": bool(errors),
    }


def mailing_of(given: Data | None) -> report_mail.Mailing | None:
    """What the option ``mail`` says."""
    if given is None:
        return None
    texts: Data = {key: given[key] or "" for key in ("user", "password", "ca_file")}
    same: Data = {key: given[key] for key in ("host", "security", "validate_certs", "timeout")}
    return report_mail.Mailing(to=tuple(given["to"]), sender=given["from"], port=given["port"] or 0, **same, **texts)


def _json(params: Data, report: Data, check_mode: bool) -> Output | None:
    path = params["json"]
    text = json.dumps(report, indent=4, sort_keys=True) + "\n"
    return Output(path, lambda: _written(path, text, check_mode)) if path else None


def _html(params: Data, report: Data, check_mode: bool) -> Output | None:
    path = params["html"]
    return Output(path, lambda: _written(path, report_page.render(report, _template(params)), check_mode)) if path else None


def _template(params: Data) -> str:
    if not params["template"]:
        raise InputError("template", "a page is asked for, and it is not given", "Give templates/report.html.j2 of the release")
    return str(params["template"])


def _written(path: str, text: str, check_mode: bool) -> str:
    """Replace the file as a whole, readable by its owner alone, unless it has this text already."""
    target = Path(path)
    data = text.encode()
    try:
        if target.is_file() and target.read_bytes() == data:
            return ""
        if not check_mode:
            _replace(target, data)
    except OSError as error:
        remedy = "Give a file in a folder that is there and may be written to"
        raise StoreError(path, f"it cannot be written: {error.strerror}", remedy) from error
    return f"The report is in {path}"


def _replace(target: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except OSError:
        Path(temporary).unlink()
        raise


def _mail(mailing: report_mail.Mailing, params: Data, report: Data, check_mode: bool) -> str:
    mailing.refuse()
    if not report_words.worth_a_mail(report, params["mail"]["when"]):
        return ""
    page = report_page.render(report, _template(params))
    text = report_words.mail_text(report, params["summary"] or "")
    mail = report_mail.message(mailing, report_words.sentence(report), text, page)
    if not check_mode:
        report_mail.send(mailing, mail)
    return SENT.format(", ".join(mailing.to))
