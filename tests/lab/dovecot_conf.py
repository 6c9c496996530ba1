# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of the private Dovecot (2.3: every setting of a block on its own line)."""

from __future__ import annotations

SPECIAL_FOLDERS = {"Drafts": "Drafts", "Sent": "Sent Items", "Trash": "Deleted Items", "Junk": "Junk E-mail"}  # sheet 3.3

TEMPLATE = """\
base_dir = @home@/run
state_dir = @home@/state
log_path = @home@/log/dovecot.log
instance_name = @home@
listen = 127.0.0.1
protocols = imap
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_username_chars =
auth_master_user_separator = *
auth_failure_delay = 0
auth_cache_size = 0
default_internal_user = @me@
default_internal_group = @group@
default_login_user = @me@
default_vsz_limit = 1G
first_valid_uid = 1
first_valid_gid = 1
mail_location = mdbox:@home@/mail/%u/mdbox
mail_uid = @me@
mail_gid = @group@
mail_max_userip_connections = 0
mail_fsync = never
mdbox_rotate_size = 64M
mail_plugins = quota acl
imap_max_line_length = 4M
imap_hibernate_timeout = 0
lock_method = fcntl
shutdown_clients = yes
protocol imap {
  mail_plugins = $mail_plugins imap_quota imap_acl
}
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=100G
  acl = vfile
  acl_user = %u
}
namespace inbox {
  inbox = yes
  separator = /
@folders@}
passdb {
  driver = passwd-file
  args = @home@/masters
  master = yes
  pass = yes
}
passdb {
  driver = static
  args = password=@password@ nodelay=y
}
userdb {
  driver = static
  args = uid=@me@ gid=@group@ home=@home@/mail/%u
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  client_limit = 2000
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  service_count = 0
  client_limit = 1000
  process_min_avail = 1
  inet_listener imap {
    port = @port@
  }
  inet_listener imaps {
    port = 0
  }
}
service imap {
  process_limit = 1024
  service_count = 100
}
"""

FOLDER = """\
  mailbox "{name}" {{
    special_use = \\{use}
    auto = subscribe
  }}
"""


def render(names: dict[str, str], folder_names: dict[str, str]) -> str:
    """`names`: me, group, home, port, password. `folder_names` localises special folders: {"Trash": "Gelöschte Objekte"}."""
    folders = {**SPECIAL_FOLDERS, **folder_names}
    blocks = "".join(FOLDER.format(name=name, use=use) for use, name in folders.items())
    text = TEMPLATE.replace("@folders@", blocks)
    for key, value in names.items():
        text = text.replace(f"@{key}@", value)
    return text
