"""The commands of ``jaxopt-lab``, one module each."""
