# SPDX-License-Identifier: GPL-3.0-or-later
"""The independent reader shares nothing with the project, and notices what is wrong: else its silence would prove nothing."""

from __future__ import annotations

import ast
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.lab import cli_lab
from tests.lab.rawimap import RawImapServer, RawMessage
from tests.proof import engine
from tests.proof.independent_archive import Archive
from tests.proof.independent_reader import Row, differences, read_servers, true_name
from tests.unit.module_utils.imap.certificates import load

MASTER = "not-a-secret-master"
OWNER = "alice@example.com"
MAIL = {
    "INBOX": [RawMessage(2, b"Subject: one\r\n\r\n1\r\n"), RawMessage(5, b"Subject: two\n\n2\n")],
    "R&D/x": [RawMessage(1, b"three")],
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A small archive, and what the server served."""
    home = tmp_path_factory.mktemp("small")
    ca_file = cli_lab.make_certificates(home / "certificates", "mail1")
    context = load(home / "certificates" / "server.crt", home / "certificates" / "server.key")
    engine.create(home / "archive")
    with RawImapServer({OWNER: MAIL}, master_password=MASTER, ssl_context=context) as server:
        site = engine.site(server.port, ca_file, MASTER)
        assert engine.archive(home / "archive", site, OWNER).problems() == []
        served = read_servers([(site, OWNER)])
    return home / "archive", [seen.row for seen in served]


@pytest.fixture
def root(pristine: tuple[Path, list[Row]], tmp_path: Path) -> Path:
    """A copy to be damaged; cp keeps the hard links within it."""
    subprocess.run(["cp", "-a", str(pristine[0]), str(tmp_path / "archive")], check=True)
    return tmp_path / "archive"


def placement(root: Path) -> Path:
    """The file of the first message."""
    return next(path for path in root.glob("mail/*/*/INBOX/cur/*") if ",S=19," in path.name)


def an_object(root: Path) -> Path:
    digest = placement(root).name.split(".")[1].removesuffix("_0")
    return root / "objects" / digest[:2] / digest


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o440)


def run_sql(root: Path, statement: str) -> None:
    database = sqlite3.connect(root / "catalog.sqlite3")
    assert database.execute(statement).rowcount > 0
    database.commit()
    database.close()


def other_bytes(root: Path) -> None:
    rewrite(an_object(root), zstandard.compress(b"Subject: one\r\n\r\n2\r\n"))


def second_inode(root: Path) -> None:
    rewrite(placement(root), placement(root).read_bytes())


def wrong_size(root: Path) -> None:
    placement(root).rename(placement(root).parent / placement(root).name.replace(",S=19,", ",S=20,"))


def lost_placement(root: Path) -> None:
    placement(root).unlink()


def lost_object(root: Path) -> None:
    an_object(root).unlink()


def foreign_file(root: Path) -> None:
    (placement(root).parents[1] / "new" / "1.foreign").write_bytes(b"")


def foreign_folder(root: Path) -> None:
    (root / "mail" / OWNER / "other" / "cur").mkdir(parents=True)


def unknown_object(root: Path) -> None:
    (root / "objects" / "aa" / ("a" * 64)).write_bytes(zstandard.compress(b"x"))


def forgotten_object(root: Path) -> None:
    run_sql(root, "DELETE FROM objects WHERE size = 19")


def forgotten_placement(root: Path) -> None:
    run_sql(root, "DELETE FROM placements WHERE size = 19")


def wrong_virtual_size(root: Path) -> None:
    run_sql(root, "UPDATE placements SET vsize = size WHERE vsize <> size")


def writable_object(root: Path) -> None:
    an_object(root).chmod(0o640)


DAMAGE = [
    other_bytes,
    second_inode,
    wrong_size,
    lost_placement,
    lost_object,
    foreign_file,
    foreign_folder,
    unknown_object,
    forgotten_object,
    forgotten_placement,
    wrong_virtual_size,
    writable_object,
]


def test_a_whole_archive_has_no_problems(root: Path, pristine: tuple[Path, list[Row]]) -> None:
    archive = Archive(root)
    assert archive.problems == []
    assert len(archive.rows()) == 3
    assert differences(pristine[1], archive.rows()) == []


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_noticed(root: Path, damage: Callable[[Path], None]) -> None:
    damage(root)
    assert Archive(root).problems != []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM source_messages WHERE uid = 5",
        "UPDATE source_messages SET uid = 6 WHERE uid = 5",
        "UPDATE source_messages SET uidvalidity = 2",
        "UPDATE source_messages SET state = 5 WHERE uid = 5",
        "UPDATE source_messages SET digest = (SELECT digest FROM source_messages WHERE uid = 2) WHERE uid = 5",
        "UPDATE source_folders SET name = 'other' WHERE name = 'INBOX'",
        "UPDATE source_folders SET mailbox = 'bob@example.com'",
        "UPDATE source_folders SET server = 'mail2'",
    ],
)
def test_a_wrong_catalog_is_noticed(root: Path, pristine: tuple[Path, list[Row]], statement: str) -> None:
    run_sql(root, statement)
    assert differences(pristine[1], Archive(root).rows()) != []


def test_differences_go_both_ways_and_count() -> None:
    one, two = (Row("mail1", OWNER, "INBOX", 1, uid, "aa") for uid in (1, 2))
    assert differences([one, one], [one, one]) == []
    assert [text.split(":")[0] for text in differences([one, one, two], [one])] == ["1 x on the server only"] * 2
    assert [text.split(":")[0] for text in differences([], [one, one])] == ["2 x in the archive only"]


def test_folder_names_are_decoded() -> None:
    assert true_name("R&-D/&ZeVnLIqe-/x&AOQ-") == "R&D/日本語/xä"


def test_the_reader_shares_nothing_with_the_project() -> None:
    allowed = {"imaplib", "hashlib", "sqlite3", "zstandard", "base64", "json", "os", "re", "ssl", "stat", "collections"}
    allowed |= {
        "collections.abc",
        "contextlib",
        "dataclasses",
        "pathlib",
        "typing",
        "__future__",
        "tests.proof.independent_reader",
    }
    for name in ("independent_reader.py", "independent_archive.py"):
        tree = ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert imported <= allowed, imported - allowed
