"""What incident knows of other services' things: only what a breach's scope and its probes need."""
