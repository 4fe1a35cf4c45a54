"""The audit log as pure functions: the Merkle tree of RFC 6962 and the C2SP formats it is shown in."""
