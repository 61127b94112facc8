"""Labels: asked of an oracle or brought by people, journalled, kept as a label set."""
