"""Containment orders: issued, confirmed by who carries them out, probed, lifted, and probed again."""
