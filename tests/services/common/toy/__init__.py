"""A small real service, with its own database and events, on which the ground that all services share is tried."""
