"""What units apply for, and what was decided."""
