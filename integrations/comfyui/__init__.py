"""The node for ComfyUI, which reads these two names from a folder of custom_nodes."""

from .neuralstyle_node import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
