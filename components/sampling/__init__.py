"""Samples: which articles are worth a label, drawn by rules that are written down."""
