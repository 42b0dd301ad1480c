"""Many pictures: files in and files out, over processes, machines and engines; contact sheets and sweeps.

The names of ``__init__.pyi`` are imported when they are first used, so that importing this package imports no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
