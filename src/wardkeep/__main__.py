"""`python -m wardkeep` is the same as `wardkeep`."""

from wardkeep.cli import main

main()
