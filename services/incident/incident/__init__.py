"""What went wrong: breaches, containment, probes, lifting."""
