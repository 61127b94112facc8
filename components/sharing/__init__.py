"""What leaves a store: predictions, data, bundles for other places, and articles for people to judge."""
