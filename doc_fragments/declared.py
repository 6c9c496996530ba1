# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The declarations of all modules of the admin API by kind; ``module_utils/kerio/specs.py`` has the same."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ip_address_groups:
    description:
      - IP address groups, as O(mailops.kerio.kerio_ip_address_groups#module:groups).
    type: list
    elements: dict
    suboptions:
      name:
        description: As in M(mailops.kerio.kerio_ip_address_groups).
        type: str
        required: true
      state:
        description: As in M(mailops.kerio.kerio_ip_address_groups).
        type: str
        choices: [present, absent]
        default: present
      entries:
        description: As in M(mailops.kerio.kerio_ip_address_groups).
        type: list
        elements: dict
        suboptions:
          host:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          network:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          range:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          prefix:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          group:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          this_machine:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: bool
          description:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: str
          enabled:
            description: As in M(mailops.kerio.kerio_ip_address_groups).
            type: bool
            default: true
  security_policy:
    description:
      - As the options of M(mailops.kerio.kerio_security_policy).
    type: dict
    suboptions:
      mode:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: str
        choices: [no_restrictions, authentication_required, encryption_required]
      authentication_methods:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: dict
      allow_ntlm_for_kerberos_users:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: bool
      lockout:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: bool
      failed_logins_to_lock:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: int
      minutes_to_unlock:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: int
      authentication_exception_group:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: str
      encryption_exception_group:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: str
      anti_hammering:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: bool
      anti_hammering_failed_logins:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: int
      anti_hammering_minutes:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: int
      anti_hammering_exception_group:
        description: As in M(mailops.kerio.kerio_security_policy).
        type: str
  services:
    description:
      - Services, as O(mailops.kerio.kerio_services#module:services).
    type: list
    elements: dict
    suboptions:
      name:
        description: As in M(mailops.kerio.kerio_services).
        type: str
        required: true
      running:
        description: As in M(mailops.kerio.kerio_services).
        type: bool
      start_up:
        description: As in M(mailops.kerio.kerio_services).
        type: str
        choices: [automatic, manual]
      listeners:
        description: As in M(mailops.kerio.kerio_services).
        type: list
        elements: dict
        suboptions:
          address:
            description: As in M(mailops.kerio.kerio_services).
            type: str
            default: all
          port:
            description: As in M(mailops.kerio.kerio_services).
            type: int
            required: true
      ip_address_group:
        description: As in M(mailops.kerio.kerio_services).
        type: str
      connection_limit:
        description: As in M(mailops.kerio.kerio_services).
        type: int
  users:
    description:
      - Accounts, as O(mailops.kerio.kerio_users#module:users), without passwords, which cannot be compared. An account with
        C(update_password) V(always) always differs.
    type: list
    elements: dict
    suboptions:
      address:
        description: As in M(mailops.kerio.kerio_users).
        type: str
        required: true
      state:
        description: As in M(mailops.kerio.kerio_users).
        type: str
        choices: [present, absent]
        default: present
      full_name:
        description: As in M(mailops.kerio.kerio_users).
        type: str
      description:
        description: As in M(mailops.kerio.kerio_users).
        type: str
      enabled:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      addresses:
        description: As in M(mailops.kerio.kerio_users).
        type: list
        elements: str
      role:
        description: As in M(mailops.kerio.kerio_users).
        type: str
        choices: [user, auditor, account_admin, full_admin]
      public_folder_right:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      archive_folder_right:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      in_global_address_list:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      may_change_password:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      password_reversible:
        description: As in M(mailops.kerio.kerio_users).
        type: bool
      disk_limit_mb:
        description: As in M(mailops.kerio.kerio_users).
        type: int
      item_limit:
        description: As in M(mailops.kerio.kerio_users).
        type: int
      update_password:
        description: As in M(mailops.kerio.kerio_users).
        type: str
        choices: [on_create, always]
        default: on_create
  whole_domains:
    description:
      - As O(mailops.kerio.kerio_users#module:whole_domains).
    type: list
    elements: str
    default: []
  delete_limit:
    description:
      - As O(mailops.kerio.kerio_users#module:delete_limit).
    type: int
    default: 5
  master_authentication:
    description:
      - As the options of M(mailops.kerio.kerio_master_authentication), without the password;
        M(mailops.kerio.kerio_master_login) finds out whether it is right.
    type: dict
    suboptions:
      enabled:
        description: As in M(mailops.kerio.kerio_master_authentication).
        type: bool
      ip_address_group:
        description: As in M(mailops.kerio.kerio_master_authentication).
        type: str
      allow_any_address:
        description: As in M(mailops.kerio.kerio_master_authentication).
        type: bool
        default: false
  advanced_options:
    description:
      - As the options of M(mailops.kerio.kerio_advanced_options).
    type: dict
    suboptions:
      insert_x_envelope_to:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
      log_host_names:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
      show_program_name_and_version:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
      tnef_decoding:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
      uuencoded_conversion:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
      allow_unsupported_activesync_devices:
        description: As in M(mailops.kerio.kerio_advanced_options).
        type: bool
  archiving:
    description:
      - As the options of M(mailops.kerio.kerio_archiving).
    type: dict
    suboptions:
      enabled:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      remote_address:
        description: As in M(mailops.kerio.kerio_archiving).
        type: str
      to_local_folder:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      folder_interval:
        description: As in M(mailops.kerio.kerio_archiving).
        type: str
        choices: [day, week, month]
      compress_old_folders:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      compression_start_time:
        description: As in M(mailops.kerio.kerio_archiving).
        type: str
      local_messages:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      incoming_messages:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      outgoing_messages:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      relayed_messages:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      before_filter:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      instant_messages:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      per_domain:
        description: As in M(mailops.kerio.kerio_archiving).
        type: bool
      domains:
        description: As in M(mailops.kerio.kerio_archiving).
        type: list
        elements: dict
        suboptions:
          name:
            description: As in M(mailops.kerio.kerio_archiving).
            type: str
            required: true
          remote_address:
            description: As in M(mailops.kerio.kerio_archiving).
            type: str
          local_messages:
            description: As in M(mailops.kerio.kerio_archiving).
            type: bool
          incoming_messages:
            description: As in M(mailops.kerio.kerio_archiving).
            type: bool
          outgoing_messages:
            description: As in M(mailops.kerio.kerio_archiving).
            type: bool
          before_filter:
            description: As in M(mailops.kerio.kerio_archiving).
            type: bool
"""
