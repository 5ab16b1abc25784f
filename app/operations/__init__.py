"""What an operator does beside trading: is all well, is all configured, who may ask."""
