"""Where a network's weights come from."""
