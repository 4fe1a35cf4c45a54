"""Acknowledgements: which enforcement points have applied a cutoff."""
