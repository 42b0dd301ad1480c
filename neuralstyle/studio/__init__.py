"""The studio: a page on which a painting appears in seconds and follows the dials.

``scene`` says what is painted, ``session`` paints it in a thread of its own, ``server`` shows it to browsers, and
``page/`` is what they show. The names of ``__init__.pyi`` are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
