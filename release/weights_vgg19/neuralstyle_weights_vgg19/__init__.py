"""The data file vgg19.safetensors, which neuralstyle finds by the name of this package."""
