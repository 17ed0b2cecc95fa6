"""The lab: runs of networks and data sets by name, from the command line."""
