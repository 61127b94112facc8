"""Model registries that follow a channel."""
