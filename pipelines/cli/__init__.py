"""The `distillery` command, one file for each group of commands."""
