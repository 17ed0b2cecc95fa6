"""The ground floor, which every room imports.

Its modules are loaded on first use.
"""

import pkgutil as _pkgutil

import lazy_loader as _lazy_loader

__getattr__, __dir__, __all__ = _lazy_loader.attach(
    __name__, [module.name for module in _pkgutil.iter_modules(__path__)]
)
