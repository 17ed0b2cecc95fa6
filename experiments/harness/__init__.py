"""The command line, the results files and the store of studies and applications."""
