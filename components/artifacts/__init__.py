"""What steps leave for one another: typed, versioned, found by digest."""
