"""jaxopt_lab: methods of the literature as composable optax transformations.

The names are listed in ``__init__.pyi``, for type checkers and for this file; each is
loaded on first use, so that the import costs what ``import optax`` costs. The rooms
(``jaxopt_lab.training``, ...) are attributes too; a star import leaves them out.
"""

from jaxopt_lab.core.public_names import attach_stub as _attach_stub

__getattr__, __dir__, __all__ = _attach_stub(__name__, __file__)
