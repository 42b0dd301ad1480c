"""The weights of networks: their sources, files and scales."""
