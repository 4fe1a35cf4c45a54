"""What identity does for an incident's containment orders."""
