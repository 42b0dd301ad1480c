"""The public names of the studio, each with the file that it comes from."""

from .scene import Dials as Dials
from .serving import Running as Running
from .serving import serve as serve
from .serving import start as start
from .session import Session as Session
