"""The machine: its devices and their memory."""
