"""What is far away: what to try again, and for how long."""
