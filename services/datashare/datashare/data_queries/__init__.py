"""The verdict over the legal chain, and the reading of records under it."""
