"""The one door: routes, refuses what is revoked, one OpenAPI document, and the all-in-one entry point."""
