# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the collection is beside what a user would otherwise run. See README.md."""
