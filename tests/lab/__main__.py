# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.lab`."""

from __future__ import annotations

import sys

from tests.lab.cli import main

sys.exit(main())
