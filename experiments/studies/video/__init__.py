"""A short clip stored as a network: HNeRV against NeRV."""
