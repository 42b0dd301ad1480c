"""``python -m neuralstyle``: the command line."""

import sys

from neuralstyle.cli import main

sys.exit(main())
