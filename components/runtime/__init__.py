"""What a step runs in: its settings, its progress, its record."""
