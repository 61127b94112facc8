"""People score articles that oracle and student scored: which ones, in what form, and how far all of them agree."""
