"""jaxopt_lab: methods of the literature as composable optax transformations.

The names are listed in ``__init__.pyi``, for type checkers and for this file; each is
loaded on first use, so that the import costs what ``import optax`` costs. The rooms
(``jaxopt_lab.training``, ...) are attributes too; a star import leaves them out.
"""

import pkgutil as _pkgutil

import lazy_loader as _lazy_loader

_load, _listed, _ = _lazy_loader.attach_stub(__name__, __file__)
_ROOMS = {module.name for module in _pkgutil.iter_modules(__path__)} | {"trees"}

__all__ = [name for name in _listed() if name not in _ROOMS]


def __dir__():
    return _listed()


def __getattr__(name):
    if name in _listed():
        return _load(name)
    text = f"module {__name__!r} has no attribute {name!r}"
    if not name.startswith("_"):
        from jaxopt_lab.core import nearest_names

        text += nearest_names.hint(name, _listed(), __path__[0])
    raise AttributeError(text)
