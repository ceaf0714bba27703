"""iptables: the text that its save tools write, read into the packet engine."""
