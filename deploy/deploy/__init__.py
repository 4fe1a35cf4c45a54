"""Runs the platform as one process, as local processes, or in containers; the commands that set it up."""
