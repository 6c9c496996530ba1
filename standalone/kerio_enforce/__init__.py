# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks on a schedule: updates the checkout, checks its signature, keeps a time limit, tells what came of it.

Needs Python 3.11 and git. The role controller installs it beside the checkout, so that a checkout that does not verify cannot
change what refuses it. docs/schedule.md
"""
