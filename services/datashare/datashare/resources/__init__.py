"""Resources, their fields and their records."""
