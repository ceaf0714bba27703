"""The pages: one module for each place, each a router of its own."""
