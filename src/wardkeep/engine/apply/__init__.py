"""Carrying out a plan on a host, taking it back, and what became of each."""
