"""Lifting a containment: one person proposes, another approves."""
