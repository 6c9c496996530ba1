#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives what is new on Kerio Connect servers; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_run
short_description: Archive what is new on Kerio Connect servers
version_added: 0.1.0
description:
  - Runs archiving profiles on the archive host. Every mailbox that a profile means is opened over IMAP, and every message that
    the archive does not have yet is stored, made durable, filed in the trees of its archive users and recorded in the catalog.
  - A folder in which nothing changed is not opened; an unchanged mailbox costs one login. No message is deleted or marked on
    the server, unless a profile says C(delete).
  - The messages of a folder are accounted for one by one. For every folder in RV(profiles), RV(ignore:seen) is the sum of
    RV(ignore:new), RV(ignore:copies), RV(ignore:known), RV(ignore:excluded), RV(ignore:left), RV(ignore:failed),
    RV(ignore:quarantined) and RV(ignore:gone).
  - A message, folder, mailbox or server that fails stops no other. Everything else is archived, then the module fails with a
    message that counts and names, see O(fail_on_errors). What failed is tried again by the next run.
  - A server that refuses the master password is not asked again in this run.
  - A mailbox that the server does not open to the master password, and whose archive user is disabled, is a warning and no
    failure. Its mail is read once the server opens it again.
  - One run at a time per archive. When another one is under way, the module ends without a change and says who holds it.
  - B(Filing, mailbox methods.) A message goes to C(<address>/<folder as on the server>) in the tree of the mailbox's owner, or
    of the declared target user.
  - B(Filing, multidrop.) The recipients that the server itself wrote (topmost C(X-Envelope-To), C(Delivered-To), C(for) of the
    topmost C(Received)) and those in C(To), C(Cc) and C(Bcc) decide; an address that is the archive mailbox's own is worth
    nothing. Groups and aliases stand for their users. Each archive user gets the message once. The sender gets a copy in the
    folder for sent mail, unless the sender is a recipient as well. BCC recipients are found only if the server wrote them into
    the message.
  - B(Copies.) The same message with other trace headers, such as the archive mailbox's copy of what the mailbox has, is stored
    but not filed again.
extends_documentation_fragment:
  - mailops.kerio.archive
  - mailops.kerio.imap_servers
  - mailops.kerio.forecast
  - mailops.kerio.job
  - mailops.kerio.service
  - mailops.kerio.ledger
  - mailops.kerio.attributes
attributes:
  check_mode:
    description:
      - Logs in and compares folders and UIDs with the catalog; the archive need not exist yet, and nothing is written.
      - No message is read, so what a run would find to be a copy, or leave for its unknown address, counts as C(new).
    support: full
  diff_mode:
    description: Archived messages are counted, not shown.
    support: none
options:
  root:
    description: Folder of the archive; M(mailops.kerio.archive_store) creates it.
    type: path
    required: true
  profiles:
    description:
      - The archiving profiles. Those that read mailboxes run before multidrop, whatever their order here.
      - C(name) and C(method) are required. C(method) is V(single_mailbox), V(multiple_mailboxes) or V(multidrop).
      - C(servers) is a list of server names, all servers unless given; V(single_mailbox) takes one.
      - C(users), for V(multiple_mailboxes), is one of C(all_with_address) V(true) (the default), C(except) or C(only) with a
        list of user names or addresses. With C(with_privilege) V(archive), alone or beside one of them, users without the
        privilege C(archive) are left out. A user's mailbox is read on the user's own server.
      - C(mailbox), for V(single_mailbox) and V(multidrop), is the mailbox's login; the address names its folder in the archive.
      - C(target_user), for V(single_mailbox), is the archive user who gets the mail, by name or address; created when absent.
      - C(credentials) is V(master) or V(password); V(multiple_mailboxes) takes V(master) only.
      - C(folders) has C(include) and C(exclude), lists of patterns for folder names, and C(defaults), whether Junk, Deleted
        Items, Drafts, Outbox, public and groupware folders and the like are left out (V(true)), or a list of the default rules
        to apply.
      - C(unknown_addresses), for V(multidrop), is what happens to a message that no archive user matches. V(leave) (the
        default) keeps it on the server and lists its addresses, V(catchall) files it for the user C(@catchall),
        V(drop_relayed) ignores it for good if none of its addresses is of a domain of the archive users. A user who appears
        later gets what was left or caught.
      - C(target_folder) and C(sent_folder), for V(multidrop), are folders for received and sent mail, C({u-email}/INBOX) and
        C({u-email}/Sent Items) unless given. C({u-email}) is the user's primary address, C({h-email}) the address in the
        header.
      - C(connections) limits the connections per server for this profile.
      - C(filter) has the conditions that a message must all meet, C(since) and C(before) (dates, UTC), C(older_than_days) and
        C(younger_than_days), C(seen), C(flagged), C(larger_than) and C(smaller_than) (bytes, or with C(K), C(M), C(G)),
        C(headers) and C(not_headers) (fields with the texts of which they must contain one, or none). Dates are those of the
        server (INTERNALDATE). What is kept out is counted as C(excluded), with its reason in the catalog, and looked at again
        when the filter, the time or a flag lets it pass.
      - C(delete) has C(after_days), how many days after the later of its date and its archiving a message is deleted on the
        server, and C(dedicated), whether the mailbox is for archiving alone. Nothing is deleted unless it is given.
      - C(moves) is V(stay) (the default) or V(follow), whether a message that moved to another folder on the server moves in the
        archive. V(multidrop) has no such key.
      - C(order) is V(oldest_first) (the default) or V(newest_first).
      - C(window) is the time of day in which the profile runs, such as V(22:00-06:00), in the time zone of the archive host.
      - A profile that is renamed reads nothing again, because the archive remembers mailboxes rather than profiles. One that is
        removed leaves everything as it is.
      - See C(docs/profiles.md) for every key with an example.
    type: list
    elements: raw
    required: true
  mode:
    description:
      - V(archive) archives what is new.
      - V(test) tries every mailbox of the chosen profiles, connection, login and each selected folder, and says of each what is
        wrong. It archives nothing and writes nothing, also outside of check mode, and the archive need not exist yet. A wrong
        password costs one attempt.
      - V(estimate) counts the messages and bytes that a run would archive now, measures with a small sample how fast they come
        and how small they become, and tells the time (for reading alone until earlier runs tell the whole) and the room that the
        run needs, with a warning when the file system of O(root) has too little. It writes nothing, as V(test).
      - V(stop) asks the run that is under way to end and waits until it has, up to five minutes. It ends after the message that
        it is at; what it has archived stays, and the next run goes on from there. C(SIGTERM) to its process does the same. The
        result of the run goes to whoever started it.
      - V(compare) asks the servers for the UIDs of every selected folder and tells which of them have no bytes in the archive,
        and why; and what the archive has that the servers do not have any more. It changes nothing, and may go on beside a run.
        Not in check mode, it writes all of its result to C(reports/compare.json) below O(root). It fails if the object of a
        message that the catalog has as archived is not there, if bytes or sizes differ, or if a mailbox or folder cannot be read
        (a mailbox of a disabled user is a warning).
    type: str
    choices: [archive, test, estimate, stop, compare]
    default: archive
  compare_sample:
    description:
      - In the mode V(compare), so many messages of each mailbox, drawn at random, are fetched, and their bytes compared with the
        archived objects, which are read from the disk.
    type: int
    default: 0
  compare_sizes:
    description:
      - In the mode V(compare), compare the size of every archived message on the server with its size in the catalog. Up to 100
        messages of a folder that have another size are fetched and their bytes compared.
    type: bool
    default: false
  connections:
    description: Connections to all servers together, at most; V(0) for no such limit.
    type: int
    default: 0
  passwords:
    description: Passwords of mailboxes for profiles with C(credentials) V(password), by the name of the profile.
    type: dict
    default: {}
  only:
    description: Names of the profiles to run; all unless given.
    type: list
    elements: str
    default: []
  mailbox:
    description: Archive this mailbox alone.
    type: str
  fail_on_errors:
    description: Whether the module fails at its end when something could not be archived.
    type: bool
    default: true
  processes:
    description: Worker processes at most. Unless given, one per core, and up to four while processors wait for servers.
    type: int
    default: 0
  reserve:
    description:
      - How many MiB must stay free on the archive's file system. A run that would go below ends with an error; what it has
        archived until then stays, and the next run goes on from there. With it, 10000 free inodes are asked for as well.
    type: int
    default: 1024
  quarantine_after:
    description: After so many failed attempts a message is quarantined, which means tried at full comparisons only.
    type: int
    default: 5
  acknowledged:
    description:
      - Quarantined messages that are no longer reported as problems, each with C(server), C(mailbox), C(folder), C(uidvalidity)
        and C(uid). The report of a message holds the entry to paste, see C(docs/quarantine.md).
    type: list
    elements: dict
    default: []
  reconcile_days:
    description:
      - After so many days a folder is opened and compared UID by UID, although its figures say that nothing changed; then its
        quarantined messages are tried again. The folders come due spread over the days. V(0) compares all of them in every run.
    type: int
    default: 7
requirements:
  - imapclient (the role archive_host installs it)
seealso:
  - module: mailops.kerio.archive_store
  - module: mailops.kerio.archive_users
  - module: mailops.kerio.archive_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure all mail is archived
  mailops.kerio.archive_run:
    root: /srv/archive/kerio
    servers:
      - name: mail1
        host: mail1.example.com
        master_password: "{{ vault_kerio_master_password }}"
    profiles:
      - name: all mailboxes
        method: multiple_mailboxes
        users:
          except: [spamtrap@example.com]
      - name: journal
        method: multidrop
        mailbox: archive@example.com
        unknown_addresses: leave
    passwords:
      journal: "{{ vault_kerio_archive_mailbox_password }}"

- name: Ensure one mailbox is archived into the tree of a successor
  mailops.kerio.archive_run:
    root: /srv/archive/kerio
    servers:
      - name: mail1
        host: mail1.example.com
        access: IMAP-TLS
        master_password: "{{ vault_kerio_master_password }}"
    profiles:
      - name: sales of the leaver
        method: single_mailbox
        mailbox: leaver@example.com
        target_user: alice@example.com
        credentials: master
        folders:
          include: [INBOX, Sent Items]

- name: Ensure everything that the servers have is in the archive, as far as it is to be
  mailops.kerio.archive_run:
    root: /srv/archive/kerio
    servers:
      - name: mail1
        host: mail1.example.com
        master_password: "{{ vault_kerio_master_password }}"
    profiles:
      - name: all mailboxes
        method: multiple_mailboxes
    mode: compare
    compare_sample: 20
    compare_sizes: true
"""

RETURN = r"""
profiles:
  description:
    - Per profile its counts, C(bytes), C(seconds), C(errors), C(unknown_addresses), and C(mailboxes), each with the same
      counts and with C(folders).
    - C(seen) are UIDs on the server, C(new) archived now, C(copies) stored but not filed again, C(known) archived before,
      C(excluded), C(left) and C(failed) not archived, C(gone) disappeared during the run.
    - C(left_out) are users without the privilege that the profile asks for, at most 200; C(left_out_count) are all of them.
    - C(withheld) counts mailboxes of disabled users that the server did not open. Each has C(withheld) V(true), a warning of its
      own, and no place among the errors.
  returned: when the run has ended
  type: list
  elements: dict
  sample:
    - name: all mailboxes
      method: multiple_mailboxes
      seen: 4310
      new: 4310
      copies: 0
      known: 0
      excluded: 0
      left: 0
      failed: 0
      quarantined: 0
      gone: 0
      bytes: 96000000
      seconds: 1.7
      errors: []
      unknown_addresses: []
table:
  description: The result as at most 25 lines of text, of a run one for each profile, and how long the room lasts.
  returned: when the run has ended, and in the modes V(test), V(estimate) and V(compare)
  type: list
  elements: str
  sample:
    - "profile        new  known  copies  excluded  left  failed  quarantined  deleted    bytes  seconds"
forecast:
  description: How long the free room lasts, as M(mailops.kerio.archive_info) returns it.
  returned: when the run has ended
  type: dict
test:
  description:
    - Per mailbox C(profile), C(server), C(mailbox), C(user), C(connection), C(login) and C(folders) (V(ok), V(failed) or
      V(not tried)), C(folders_selected), C(folders_excluded), C(unreadable_folders), C(messages), C(message), and C(verdict).
    - C(verdict) is V(fine), V(out_of_reach), V(certificate), V(turned_away), V(protocol), V(declared_wrong), V(wrong_group),
      V(wrong_master_password), V(master_off), V(no_such_mailbox), V(wrong_mailbox_password), V(needs_tls),
      V(unreadable_folder), V(user_disabled), V(cannot_tell) when the server's answer fits several of them, which are in
      C(can_be), or V(not_tried) when the server had refused before.
  returned: in the mode V(test)
  type: list
  elements: dict
  sample:
    - {server: mail1, mailbox: alice@example.com, user: alice@example.com, verdict: fine, can_be: [], connection: ok, login: ok,
       folders: ok, folders_selected: 12, messages: 4310}
estimate:
  description:
    - C(messages), C(bytes), C(seconds), C(reading_seconds), C(disk_bytes), C(inodes), C(free_bytes) and C(free_inodes).
    - C(messages) and C(bytes) also per entry of C(profiles) and C(servers), which have C(mailboxes) and a C(sample) beside them.
    - C(reading_seconds), also per server, is for reading alone, null when nothing could be measured. C(seconds) is the whole time
      at the rate of earlier runs in which a profile archived 1000 messages, null when there is none.
  returned: in the mode V(estimate)
  type: dict
  sample: {messages: 1234567, bytes: 98200000000, seconds: 12000, reading_seconds: 2700, disk_bytes: 41000000000, servers: []}
compare:
  description:
    - UIDs by class, for everything, per entry of C(profiles), of their C(mailboxes), and of those of their C(folders) of which
      there is something to tell. C(on_server) is the sum of C(archived), C(copy), C(excluded), C(left), C(failed),
      C(quarantined), C(new), C(other_uidvalidity), C(back), C(lost), C(missing) and C(different).
    - C(not_on_server) has the rows of messages that the server does not list. C(deleted) (with a receipt), C(vanished), C(gone)
      (since the last run) and C(earlier) (under another UIDVALIDITY) are in the archive alone; C(unarchived) never were in it,
      C(no_receipt) were deleted by a run, but have no receipt, C(lost) were declared lost, and C(missing) have no object.
    - C(reasons) of a folder have C(class), C(reason), C(uidvalidity), C(messages) and C(uids), which is cut after 400 characters;
      C(reports/compare.json) has all.
  returned: in the mode V(compare)
  type: dict
  sample: {on_server: 4312, archived: 4290, copy: 18, excluded: 3, new: 1, missing: 0, different: 0, sizes_compared: 4308,
    messages_read: 20, not_on_server: {deleted: 120, vanished: 7, unarchived: 1}, profiles: []}
checkpoint:
  description: The newest checkpoint of the ledger, to be kept elsewhere; empty when there is none that can be trusted.
  returned: when the run has ended
  type: str
  sample: "archive1.example.com/srv/archive/kerio\n20852\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
run:
  description:
    - The counts of the whole run, its C(outcome), C(placements), C(objects), and all C(errors), which have C(profile), C(where)
      and C(message). What a server says to several profiles is one error, which names them all and counts the mailboxes not read.
    - "For monitoring C(figures): C(totals), C(mailboxes) of all declared profiles and C(forecast), as
      M(mailops.kerio.archive_info) returns them, and C(left_out), users without the privilege per profile. C(unverified) are
      servers whose certificate nobody checks. Not in check mode."
  returned: when the run has ended; with C(profiles) in it when the module fails
  type: dict
  sample: {seen: 4310, new: 4310, known: 0, failed: 0, outcome: ok, placements: 4310, objects: 4290, bytes: 96000000, errors:
  []}
job:
  description: The job on the archive host.
  returned: not in check mode
  type: dict
  sample: {state: finished, id: 0b7e2c4d, counter: 12, line: "[mail1] 12/80 alice@example.com 4,310 messages, 96 MB, 2,900/s"}
holder:
  description: Who holds the archive; nothing was done then.
  returned: when another run is under way
  type: raw
  sample: ops@control.example.com (ansible process 4711, 5f0c91aa)
previous:
  description: Reports of runs that ended while nobody was there to hear.
  returned: when there are any
  type: list
  elements: dict
error:
  description: C(subject), C(cause) and C(remedy) of what concerns the whole archive.
  returned: failure
  type: dict
"""

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_options, growth, job_outcome, run_module
from ansible_collections.mailops.kerio.plugins.module_utils.imap import arguments

ARGUMENTS = {
    "root": {"type": "path", "required": True},
    "servers": arguments.servers(),
    "profiles": {"type": "list", "elements": "raw", "required": True},
    "mode": {"type": "str", "choices": ["archive", "test", "estimate", "stop", "compare"], "default": "archive"},
    "compare_sample": {"type": "int", "default": 0},
    "compare_sizes": {"type": "bool", "default": False},
    "connections": {"type": "int", "default": 0},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "only": {"type": "list", "elements": "str", "default": []},
    "mailbox": {"type": "str"},
    "fail_on_errors": {"type": "bool", "default": True},
    "processes": {"type": "int", "default": 0},
    "reserve": {"type": "int", "default": 1024},
    **growth.ARGUMENTS,
    "quarantine_after": {"type": "int", "default": 5},
    "acknowledged": {"type": "list", "elements": "dict", "default": []},
    "reconcile_days": {"type": "int", "default": 7},
    **evidence_options.ARGUMENTS,
    **job_outcome.ARGUMENTS,
}


def main() -> None:
    module = runner.DiscreetModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    secrets = run_module.secrets_of(module.params)
    runner.run(module, lambda: runner.Outcome(**run_module.declare(module.params, module.check_mode)), secrets)


if __name__ == "__main__":
    main()
