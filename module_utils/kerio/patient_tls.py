# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS connections, as the HTTP libraries make them, whose time-out bounds the handshake and the whole of an answer.

``requests`` and ``http.client`` hand a time-out on to the socket, where it bounds a single read. Neither has a limit for a whole
answer (that of urllib3, ``Timeout(total=)``, is for its beginning), but both make their sockets by the context that they get.
"""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.patience import Patience


def bound(context: ssl.SSLContext, seconds: float) -> Patience:
    """Let the sockets of ``context``, which is shared with nobody, spend one patience, which is returned.

    The time-out of each of them is to be ``seconds`` too.
    """
    patience = Patience(seconds)

    class PatientTls(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            def shake() -> int:
                super(PatientTls, self).do_handshake(block)
                return 0

            # OpenSSL reads it to its end in one call, which the time-out bounds as a whole.
            patience.spend(self, shake)

        def recv_into(self, buffer: t.Any, nbytes: int | None = None, flags: int = 0) -> int:
            receive = super().recv_into
            return patience.spend(self, lambda: receive(buffer, nbytes, flags))

    context.sslsocket_class = PatientTls
    return patience
