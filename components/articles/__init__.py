"""Articles and labels: read from what people have, kept as tables."""
