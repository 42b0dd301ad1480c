"""The logger of the package, "neuralstyle", for programs: what long work has come to, at the level INFO.

It has no output of its own. What a caller should know is said by ``warnings.warn``.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("neuralstyle")
logger.addHandler(logging.NullHandler())
