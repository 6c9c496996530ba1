# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the catalog, and how an older one becomes one of today."""

from __future__ import annotations

USER_VERSION = 5
APPLICATION_ID = 0x4B414331  # "KAC1"

# What became of the messages that were deleted on a server.
RECEIPTS = """
CREATE TABLE receipts(
  folder_id INTEGER NOT NULL REFERENCES source_folders(id),
  uidvalidity INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  digest BLOB NOT NULL,
  size INTEGER NOT NULL,
  planned INTEGER NOT NULL,
  deleted INTEGER,
  run_id INTEGER NOT NULL REFERENCES runs(id),
  proof TEXT NOT NULL,
  PRIMARY KEY(folder_id, uidvalidity, uid)
) WITHOUT ROWID;
CREATE INDEX receipts_planned ON receipts(folder_id) WHERE deleted IS NULL;
"""

# What was declared lost for good, until the same bytes are found again; how much of the ledger is committed, and the entries that
# wait to be appended to it (``evidence``).
EVIDENCE = """
CREATE TABLE lost(
  digest BLOB PRIMARY KEY,
  size INTEGER NOT NULL,
  declared INTEGER NOT NULL,
  declared_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  found INTEGER
) WITHOUT ROWID;
CREATE TABLE evidence(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  entries INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO evidence(id) VALUES (1);
CREATE TABLE evidence_waiting(id INTEGER PRIMARY KEY, entry TEXT NOT NULL);
"""

# Who may read the whole archive of whom besides the own one. By id, so that a renamed user keeps what was granted.
GRANTS = """
CREATE TABLE grants(
  reader_id INTEGER NOT NULL REFERENCES users(id),
  owner_id INTEGER NOT NULL REFERENCES users(id),
  PRIMARY KEY(reader_id, owner_id)
) WITHOUT ROWID;
"""

# What runs found in each mailbox of each profile; for monitoring alone.
MAILBOXES = """
CREATE TABLE mailbox_passes(
  profile TEXT NOT NULL,
  server TEXT NOT NULL,
  mailbox TEXT NOT NULL,
  method TEXT NOT NULL,
  tried INTEGER NOT NULL,
  succeeded INTEGER,
  archived INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  figures TEXT NOT NULL,
  PRIMARY KEY(profile, server, mailbox)
) WITHOUT ROWID;
"""

# The conditions of two indexes below. SQLite uses such an index only for a query that has its condition word for word.
OPEN_ROWS = "state IN (3, 4, 5, 6)"
SETTLED_ROWS = "state IN (1, 2)"

# Nothing on the write path has an index whose cost grows with the whole archive: rows arrive in the order of their keys
# (objects, source_messages), or their key begins with the folder or the user. There is no index on the digest alone: the file
# system answers whether an object is there. Partial indexes hold the few rows that may come due, and what may be deleted by age,
# which only grows at its end.
TABLES = (
    """
CREATE TABLE users(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  tree TEXT NOT NULL UNIQUE,
  full_name TEXT NOT NULL DEFAULT '',
  server TEXT NOT NULL DEFAULT '',
  kerio_id TEXT NOT NULL DEFAULT '',
  kerio_login TEXT NOT NULL DEFAULT '',
  origin TEXT NOT NULL,
  authentication TEXT NOT NULL DEFAULT '',
  privileges TEXT NOT NULL DEFAULT '[]',
  enabled INTEGER NOT NULL DEFAULT 1,
  groups TEXT NOT NULL DEFAULT '[]',
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  deleted INTEGER
);
CREATE UNIQUE INDEX users_kerio ON users(server, kerio_id) WHERE kerio_id <> '';
CREATE TABLE user_addresses(
  address TEXT PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users(id),
  position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX user_addresses_user ON user_addresses(user_id, position);
CREATE TABLE source_folders(
  id INTEGER PRIMARY KEY,
  server TEXT NOT NULL,
  mailbox TEXT NOT NULL,
  name TEXT NOT NULL,
  uidvalidity INTEGER NOT NULL DEFAULT 0,
  uidnext INTEGER NOT NULL DEFAULT 0,
  messages INTEGER NOT NULL DEFAULT 0,
  highestmodseq INTEGER,
  rules TEXT NOT NULL DEFAULT '',
  complete INTEGER NOT NULL DEFAULT 0,
  last_run INTEGER,
  UNIQUE(server, mailbox, name)
);
CREATE TABLE folder_routes(
  folder_id INTEGER NOT NULL REFERENCES source_folders(id),
  route TEXT NOT NULL,
  run_id INTEGER NOT NULL DEFAULT 0,
  complete INTEGER NOT NULL DEFAULT 1,
  rules TEXT NOT NULL DEFAULT '',
  reconciled INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(folder_id, route)
) WITHOUT ROWID;
CREATE TABLE source_messages(
  folder_id INTEGER NOT NULL REFERENCES source_folders(id),
  uidvalidity INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  state INTEGER NOT NULL,
  digest BLOB,
  size INTEGER,
  vsize INTEGER,
  internaldate INTEGER,
  flags TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  run_id INTEGER NOT NULL,
  archived INTEGER,
  PRIMARY KEY(folder_id, uidvalidity, uid)
) WITHOUT ROWID;
CREATE INDEX source_messages_open ON source_messages(folder_id, state) WHERE state IN (3, 4, 5, 6);
CREATE INDEX source_messages_vanished ON source_messages(digest) WHERE state = 8 AND digest IS NOT NULL;
CREATE INDEX source_messages_kept ON source_messages(folder_id, archived) WHERE state IN (1, 2);
CREATE TABLE objects(
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL,
  size INTEGER NOT NULL,
  stored_size INTEGER NOT NULL
);
CREATE TABLE user_folders(
  id INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users(id),
  name TEXT NOT NULL,
  dir TEXT NOT NULL UNIQUE,
  UNIQUE(user_id, name)
);
CREATE TABLE placements(
  folder_id INTEGER NOT NULL REFERENCES user_folders(id),
  digest BLOB NOT NULL,
  user_id INTEGER NOT NULL,
  internaldate INTEGER NOT NULL,
  size INTEGER NOT NULL,
  vsize INTEGER NOT NULL,
  flags TEXT NOT NULL DEFAULT '',
  copy_key BLOB NOT NULL,
  origin TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(folder_id, digest)
) WITHOUT ROWID;
CREATE INDEX placements_copy ON placements(user_id, copy_key);
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  started INTEGER NOT NULL,
  finished INTEGER,
  outcome TEXT NOT NULL DEFAULT '',
  summary TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE totals(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  objects INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  stored_bytes INTEGER NOT NULL DEFAULT 0,
  placements INTEGER NOT NULL DEFAULT 0,
  commits INTEGER NOT NULL DEFAULT 0,
  last_commit INTEGER,
  clock_stepped INTEGER NOT NULL DEFAULT 0
);
INSERT INTO totals(id) VALUES (1);
"""
    + RECEIPTS
    + EVIDENCE
    + GRANTS
    + MAILBOXES
)

# user_version -> what makes a catalog of that version one of the next. Version 1 never deleted, so its receipts are empty.
MIGRATIONS = {
    1: (
        """
ALTER TABLE folder_routes ADD COLUMN rules TEXT NOT NULL DEFAULT '';
ALTER TABLE folder_routes ADD COLUMN reconciled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE folder_routes ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
UPDATE folder_routes SET rules = (SELECT rules FROM source_folders WHERE id = folder_id);
ALTER TABLE source_messages ADD COLUMN archived INTEGER;
UPDATE source_messages
  SET archived = (SELECT coalesce(finished, CAST(strftime('%s', 'now') AS INTEGER)) FROM runs WHERE id = run_id)
  WHERE digest IS NOT NULL;
CREATE INDEX source_messages_vanished ON source_messages(digest) WHERE state = 8 AND digest IS NOT NULL;
CREATE INDEX source_messages_kept ON source_messages(folder_id, archived) WHERE state IN (1, 2);
DROP TABLE receipts;
""",
        RECEIPTS,
    ),
    2: (EVIDENCE,),
    3: ("ALTER TABLE users ADD COLUMN kerio_login TEXT NOT NULL DEFAULT '';", GRANTS),
    4: (MAILBOXES,),
}
