"""The daily login: one tap by the owner, an early notice if it is missing, and no order with a dead token."""
