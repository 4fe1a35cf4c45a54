"""The toy's schema."""
