"""Networks of the SAM family under noise of their weights, and MemSE's prediction."""
