"""Identity's schema, version by version."""
