"""Serving: promoted students answer over HTTP what `distillery score` would write."""
