"""Benchmark: what a student is worth on articles it has never seen, beside simpler predictors and the incumbent."""
