"""The graphs, what runs them on a laptop and on a cluster, and the command line."""
