#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes and mails what a run did; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: archive_report
short_description: Write and mail what a run did
version_added: 0.1.0
description:
  - Makes one report of what was found out of each host, and writes it as JSON, as a page (HTML), or mails it.
  - C(site.yml) and C(report.yml) run it on the controller when C(site_report), C(site_report_html) or C(site_report_mail) is set.
  - A file is replaced as a whole and is readable by its owner alone. The page needs no network and no script, and shows the same
    figures as the JSON.
  - What cannot be written or mailed stops nothing else; the module fails at its end and tells of each.
extends_documentation_fragment:
  - mailops.kerio.attributes
attributes:
  check_mode:
    description: Says what would be written and mailed.
    support: full
  diff_mode:
    description: Tells which files are another, and whether a mail goes. What stands in them is to be read there.
    support: partial
  platform:
    description: Runs on the controller.
    platforms: posix
    support: full
options:
  facts:
    description:
      - What was found out. C(playbook), C(check), C(started) and C(finished) (seconds since the epoch), C(servers) and
        C(archive_hosts), by the names of the hosts.
      - Each host has C(failures), C(changed) and C(unreachable). A server also has C(name), C(access), C(api_verified) and
        C(imap_verified), how it is reached. An archive host also has C(result), what M(mailops.kerio.archive_run) returned,
        C(archive), what M(mailops.kerio.archive_info) returned, C(users), what M(mailops.kerio.archive_users) returned, and
        C(acknowledged) messages. A part that is not there is not told of.
    type: dict
    required: true
  json:
    description: File for the report as JSON.
    type: path
  html:
    description: File for the page.
    type: path
  template:
    description: The template of the page, C(templates/report.html.j2) of this release. Required for a page and a mail.
    type: path
  summary:
    description: Text of the mail, the outcome in a line unless given. What to look at beside failures is told below it.
    type: str
  stale_days:
    description: A mailbox that no run went through to its end for so many days is told of.
    type: int
    default: 3
  mail:
    description: To whom the report is mailed, and by which server. The page is attached.
    type: dict
    suboptions:
      to:
        description: Addresses of those who get it.
        type: list
        elements: str
        required: true
      from:
        description: Address of the sender.
        type: str
        required: true
      host:
        description: Name of the mail server.
        type: str
        required: true
      port:
        description: Its port; 587 for V(starttls), 465 for V(tls) and 25 for V(none) unless given.
        type: int
      security:
        description: V(none) goes without TLS, warns every time, and is refused with a password.
        type: str
        choices: [starttls, tls, none]
        default: starttls
      user:
        description: Login at the mail server, if it wants one.
        type: str
      password:
        description: Its password.
        type: str
      ca_file:
        description: File with the certificates of authorities to trust, those of the system unless given.
        type: path
      validate_certs:
        description: Whether the certificate is verified; V(false) warns every time.
        type: bool
        default: true
      timeout:
        description: Seconds until a server that does not answer is given up.
        type: int
        default: 30
      when:
        description: V(failures) mails when something failed, V(changes) also when something was changed or archived.
        type: str
        choices: [always, failures, changes]
        default: always
seealso:
  - module: mailops.kerio.archive_run
  - module: mailops.kerio.archive_info
author:
  - The kerio-archive authors (@mailops)
"""

EXAMPLES = r"""
- name: Ensure there is a page on the archive
  mailops.kerio.archive_report:
    facts:
      playbook: report
      check: false
      started: 1795960000
      finished: 1795960042
      servers: {}
      archive_hosts:
        archive1.example.com:
          failures: []
          archive: "{{ archive }}"
    html: /srv/www/archive.html
    template: templates/report.html.j2

- name: Ensure those who look after the archive hear of failures
  mailops.kerio.archive_report:
    facts: "{{ summary_report }}"
    template: templates/report.html.j2
    mail:
      to: [postmaster@example.com]
      from: archive@example.com
      host: mail1.example.com
      user: archive@example.com
      password: "{{ vault_report_mail_password }}"
      when: failures
"""

RETURN = r"""
sentence:
  description: The outcome in a line.
  returned: always
  type: str
  sample: 20 servers and 1 archive host ok, 214 new messages archived
outcome:
  description: V(failed), V(attention) when nothing failed and somebody should look at something, or V(ok).
  returned: always
  type: str
  sample: ok
done:
  description: What was written and mailed, in check mode would be, a sentence each.
  returned: always
  type: list
  elements: str
  sample: [The report is in /srv/www/archive.html]
errors:
  description: Each thing that could not be written or mailed, as C(output), C(message), C(subject), C(cause) and C(remedy).
  returned: always
  type: list
  elements: dict
  sample: []
"""

from ansible_collections.mailops.kerio.plugins.module_utils import runner
from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_module

MAIL = {
    "to": {"type": "list", "elements": "str", "required": True},
    "from": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "security": {"type": "str", "choices": ["starttls", "tls", "none"], "default": "starttls"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
    "when": {"type": "str", "choices": ["always", "failures", "changes"], "default": "always"},
}
ARGUMENTS = {
    "facts": {"type": "dict", "required": True},
    "json": {"type": "path"},
    "html": {"type": "path"},
    "template": {"type": "path"},
    "summary": {"type": "str"},
    "stale_days": {"type": "int", "default": 3},
    "mail": {"type": "dict", "options": MAIL},
}


def main() -> None:
    module = runner.DiscreetModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    secrets = [(module.params["mail"] or {}).get("password")]
    runner.run(module, lambda: runner.Outcome(**report_module.declare(module.params, module.check_mode)), secrets)


if __name__ == "__main__":
    main()
