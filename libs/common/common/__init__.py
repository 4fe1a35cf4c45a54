"""The kernel that every service shares, and the contracts between services."""
