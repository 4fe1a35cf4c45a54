"""The use agreements, their text and signatures."""
