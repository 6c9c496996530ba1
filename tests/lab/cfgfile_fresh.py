# SPDX-License-Identifier: GPL-3.0-or-later
"""mailserver.cfg of a fresh installation: the variables that no API shows, with what makes editing it a trap."""

from __future__ import annotations

from tests.lab.cfgfile import COMMENT, Node
from tests.lab.switches import FileSwitches


def _table(name: str, *children: Node, **variables: str) -> Node:
    own = [Node("variable", {"name": key}, value) for key, value in variables.items()]
    return Node("table", {"name": name}, children=own + list(children))


def _place(document: Node, table: str) -> None:
    """Put AutoExpungeOnDelete into a table; `A/B` is table B inside A."""
    at = document
    for name in table.split("/"):
        at = at.ensure("table", name)
    at.children.insert(len(at.children) // 2, Node("variable", {"name": "AutoExpungeOnDelete"}, "1"))


def document(how: FileSwitches) -> Node:
    """A new document; the settings that the API shows are written into it at every save."""
    store, syslog = "/opt/kerio/mailserver/store", "syslog://2@localhost:514"
    logs = [_table(name, Enabled="1", Filename=f"{name.lower()}.log", Syslog=syslog) for name in ("Mail", "Security")]
    quirk = Node("variable", {"name": "Signature", "type": "string", "lang": "de"}, 'Grüße & <Küsse> "aus" Žilina')
    decoy = Node(COMMENT, text=' <variable name="AutoExpungeOnDelete">0</variable> ')
    root = Node("config", {"version": "2.0"})
    root.children = [
        Node(COMMENT, text=" Konfiguration — geändert nur bei angehaltenem Dienst; AutoExpungeOnDelete siehe unten "),
        *([decoy] if how.cfg_decoy else []),
        _table("General", quirk, InternetHostname="mail.example.com", BackupDir=f"{store}/backup", Empty=""),
        _table("LogGlobal", _table("Rotation", Days="30", Size="100"), *logs, RelativePathsRoot=f"{store}/logs"),
        _table("Smtp", RelayServer="", RelayPassword="NUL:", MaxMessageSize="20971520", HideLocalIpInRcv="0"),
        _table("Imap", IdleTimeout="1800", MaxLineLength="65536", SendServerId="1", UseSubscriptions="0", ListSpecialUse="1"),
        _table("Ldap", BindPassword="D3S:00112233445566778899aabbccddeeff", SearchLimit="1000"),
        _table("License", Owner="Example & Sons", Number="00000-EXAMPLE-00000"),
        _table("AntiSpam", Enabled="1", Limit="5.0", Header="X-Spam-Status: %1 <b>"),
    ]
    if how.auto_expunge != "absent":
        _place(root, how.auto_expunge_table)
    if how.auto_expunge == "twice":
        _place(root, "Compatibility")
    filler = [
        Node("listitem", children=[Node("variable", {"name": "Pattern"}, f"*@spam{i}.example")]) for i in range(how.cfg_big)
    ]
    root.children.append(Node("list", {"name": "SpamRule"}, children=filler))
    return root
