"""Projections of identity's units, accounts, appointments and systems."""
