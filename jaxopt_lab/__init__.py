"""jaxopt_lab: methods of the literature as composable optax transformations.

The names are listed in ``__init__.pyi``, for type checkers and for this file; each is
loaded on first use, so that the import costs what ``import optax`` costs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
