"""What is promised of the commands, and of what the documents say."""
