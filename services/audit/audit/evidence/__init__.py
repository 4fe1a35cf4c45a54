"""Evidence packages: how they are built, and the single-file verifier that is handed out with them."""
