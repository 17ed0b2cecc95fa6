"""Parameters of several models merged into those of one."""
