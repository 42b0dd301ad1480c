"""The public names of feed-forward networks, each with the file that it comes from."""

from .export import Difference as Difference
from .export import OnnxModel as OnnxModel
from .export import export_onnx as export_onnx
from .export import model_difference as model_difference
from .inference import apply_files as apply_files
from .inference import apply_model as apply_model
from .loop import TrainingProgress as TrainingProgress
from .models import load_model as load_model
from .models import save_model as save_model
from .models import shipped_models as shipped_models
from .network import TransformerNet as TransformerNet
from .options import Records as Records
from .options import StateFolder as StateFolder
from .options import TrainingData as TrainingData
from .plan import TRAINING_LOSSES as TRAINING_LOSSES
from .tiled import run_model as run_model
from .training import last_network as last_network
from .training import train as train
