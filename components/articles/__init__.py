"""Articles and labels: read from people's files, kept as tables, compared for copies."""
