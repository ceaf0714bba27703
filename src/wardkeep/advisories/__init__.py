"""Published flaws, exactly and offline: versions in order, feeds, one local database, and what matches an inventory.

An engine: usable alone, knows only `wardkeep.core`. See README.md in this folder.
"""
