"""einspace: architectures from a grammar of functions on images and columns."""
