"""The words the whole house speaks, as types. No I/O, no clock, no import of ours from outside `core`."""
