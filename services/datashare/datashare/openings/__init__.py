"""What the authority opens, to whom and for what."""
