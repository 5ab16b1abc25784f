"""What is promised of the routes."""
