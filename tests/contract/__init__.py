"""Contracts: one test for all adapters of a port, against the real parts."""
