"""Rules and values, each alone."""
