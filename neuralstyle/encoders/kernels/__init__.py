"""Fast convolutions and pooling for the CPU."""
