"""Credentials of people: passwords and the second factor."""
