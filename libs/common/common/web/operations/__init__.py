"""Operator routes that every service has: status and dead letters."""
