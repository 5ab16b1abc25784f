"""What the gateway promises its user."""
