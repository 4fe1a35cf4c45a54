"""What datashare knows of units, people and systems, from identity's events."""
