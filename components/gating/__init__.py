"""Gates: a benchmark held against the filter's rules."""
