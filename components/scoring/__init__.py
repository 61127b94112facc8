"""Scoring: a corpus judged by a promoted student."""
