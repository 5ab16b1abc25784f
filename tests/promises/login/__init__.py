"""The daily login, kept by instances that share a store."""
