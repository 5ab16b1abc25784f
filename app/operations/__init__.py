"""The operator's side of the gateway: checks, preflight, the register of facts, and who may call."""
