from .batch import Form as Form
from .batch import stylize_files as stylize_files
from .executors import Executor as Executor
from .processes import Processes as Processes
from .running import Answer as Answer
from .running import run_tasks as run_tasks
from .settings import read_settings as read_settings
from .tasks import Result as Result
