"""The data-security rules that units file."""
