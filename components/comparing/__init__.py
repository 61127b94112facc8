"""Students side by side: what differs between them, and which is better, from stored predictions."""
