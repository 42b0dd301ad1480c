"""Neural style transfer: paint one picture in the style of another.

The names of ``__init__.pyi`` are imported when they are first used, so that importing the package imports no torch.
"""

import lazy_loader

from neuralstyle import _version

__version__ = _version.version()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
