"""Tests are laid out by the promise that they keep."""
