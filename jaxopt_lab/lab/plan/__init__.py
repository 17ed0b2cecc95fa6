"""What a run needs of the devices, before it has any."""
