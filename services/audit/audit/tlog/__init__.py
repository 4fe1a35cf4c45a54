"""Transparency-log formats (RFC 6962, C2SP): Merkle tree, tiles, proofs, signed notes. No I/O."""
