"""Layers: pure cores, and thin flax modules around them (kind ``layer``).

The names are listed in ``__init__.pyi``; each is loaded on first use, and flax with
the modules only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
