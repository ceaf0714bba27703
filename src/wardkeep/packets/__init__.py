"""Firewall rule sets as exact sets of packets. `program` is what a reader builds; README.md explains the shape."""
