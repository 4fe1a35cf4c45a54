"""What a leaving person was responsible for and obtained."""
