"""The report of a run: one self-contained page for people, and Markdown for pull requests."""
