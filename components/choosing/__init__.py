"""Which student: candidates trained on one split, compared on validation, and one chosen by the user's rule."""
