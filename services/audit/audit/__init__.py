"""What happened: a log nobody can alter unnoticed, and evidence from it."""
