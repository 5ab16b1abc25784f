"""The simulated account behaves as the broker does."""
