"""The batch: grown by the norm test, and large with statistics of small parts."""
