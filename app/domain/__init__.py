"""The decisions: pure rules on plain values. No clock, socket, environment, Flask or SDK."""
