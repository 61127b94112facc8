"""Filters: what a judgement is, in one strictly typed file each."""
