"""What is there in a store, for people: `distillery get` and `describe` print it, and nothing is decided by it."""
