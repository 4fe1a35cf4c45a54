"""What operators see and do: routes of every service, and the command line `python -m common.operations`."""
