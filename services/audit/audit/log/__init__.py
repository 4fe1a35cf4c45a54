"""The audit log in the database: one writer, reads, proofs and integrity checks."""
