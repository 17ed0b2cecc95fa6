"""Speed and size as ratios of paired runs; each module is a command."""
