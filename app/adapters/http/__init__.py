"""HTTP to the outside: kept connections, and a bound on every step of every call."""
