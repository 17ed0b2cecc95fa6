"""The loss that saved memory costs."""
