"""Rule sets as tools write them, read into the exact packet engine and audited on plain files. See README.md."""
