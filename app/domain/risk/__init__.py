"""The checks before an order is sent: the operator's limits, the shared controls, and the check of an order by both."""
