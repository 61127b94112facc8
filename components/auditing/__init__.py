"""Look for what makes labels unfit to learn from, before anything is trained."""
