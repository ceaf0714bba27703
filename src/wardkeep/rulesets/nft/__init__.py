"""nftables: the JSON of `nft -j list ruleset`, and text that nft itself turns into it, read into the packet engine."""
