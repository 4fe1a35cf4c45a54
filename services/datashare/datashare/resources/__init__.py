"""What there is: resources, their fields and their records."""
