"""Preflight: everything that can be refused before anything is spent."""
