# SPDX-License-Identifier: GPL-3.0-or-later
"""What TLS trusts: the same for the administration, IMAP and mail, and on every Python."""

from __future__ import annotations

import ssl

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError


def context(ca_file: str | None, validate_certs: bool = True, *, named: str = "") -> ssl.SSLContext:
    """A context that trusts the authorities in ``ca_file``, or those of the system; InputError when the file cannot be used.

    ``named`` says in the error whose file it is, such as ``mail: ``.
    """
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        whole = f"it holds no certificate in PEM form ({error})" if isinstance(error, ssl.SSLError) else error.strerror
        remedy = "Name a file of certificates in PEM form that this account can read"
        raise InputError(f"{named}ca_file {ca_file}", whole or str(error), remedy) from None
    if not validate_certs:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return alike(made)


def alike(made: ssl.SSLContext) -> ssl.SSLContext:
    """Have ``made`` verify alike on all Pythons.

    Python 3.13 turned strict checks on, which self-signed certificates of mail servers and many private authorities fail. And it
    lets a file hold a server's own certificate that did not sign itself.
    """
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made
