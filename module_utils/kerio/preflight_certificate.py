# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the administration and the clock behind it, by one request that needs no login."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ssl
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils import trust
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import patient_tls
from ansible_collections.mailops.kerio.plugins.module_utils.preflight import days_left


@dataclass(frozen=True)
class Greeted:
    """``days``: how long a trusted certificate holds, else ``refusal`` says why it is not trusted, or ``failure`` why none was
    seen. ``ahead``: seconds by which the server's clock is ahead of ours, to about one second."""

    days: float | None = None
    refusal: str = ""
    failure: str = ""
    ahead: float | None = None


def greet(host: str, port: int, ca_file: str | None, timeout: float) -> Greeted:
    """Ask for the start page; raises ``InputError`` for a CA file that cannot be used.

    ``timeout`` (seconds) bounds each connect, and all that is then waited for.
    """
    context = trust.context(ca_file)
    patient_tls.bound(context, timeout)
    try:
        return _ask(host, port, context, timeout)
    except ssl.SSLCertVerificationError as error:
        refusal = error.verify_message
    except (OSError, http.client.HTTPException) as error:
        return Greeted(failure=str(error))
    # The clock is asked for all the same; nothing secret is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, http.client.HTTPException):
        return Greeted(refusal=refusal, ahead=_ask(host, port, context, timeout).ahead)
    return Greeted(refusal=refusal)


def _ask(host: str, port: int, context: ssl.SSLContext, timeout: float) -> Greeted:
    connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    try:
        connection.connect()
        days = days_left(t.cast("ssl.SSLSocket", connection.sock).getpeercert() or {})
        # The certificate was seen, whatever answer comes, if any.
        with contextlib.suppress(OSError, http.client.HTTPException):
            before = time.time()
            connection.request("HEAD", "/admin/")
            date = connection.getresponse().headers.get("Date")
            return Greeted(days, ahead=_ahead(date, (before + time.time()) / 2))
        return Greeted(days)
    finally:
        connection.close()


def _ahead(date: str | None, now: float) -> float | None:
    with contextlib.suppress(TypeError, ValueError):
        return email.utils.parsedate_to_datetime(date or "").timestamp() - now
    return None
