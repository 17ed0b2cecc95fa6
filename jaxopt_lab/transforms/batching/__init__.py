"""Learning rates that follow the batch: its size, and its noise by modules.

The names are listed in ``__init__.pyi``; each is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
