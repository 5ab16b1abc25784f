"""What is decided: pure rules on plain values. No clock, socket, environment, Flask or SDK."""
