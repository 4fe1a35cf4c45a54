"""The platform as separate processes on one machine, from Python packages alone; no part of the images."""
