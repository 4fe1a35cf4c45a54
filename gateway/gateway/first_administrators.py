"""Makes the first administrators of the embedded platform that runs on a data directory, once, and prints their codes."""

