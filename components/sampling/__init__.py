"""Sampling: draw the articles that are worth a label, by explicit rules."""
