"""The REST API under /api/v1: the same views as the pages, for programs."""
