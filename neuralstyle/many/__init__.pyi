from .executors import Executor as Executor
from .processes import Processes as Processes
from .running import Answer as Answer
from .running import run_tasks as run_tasks
