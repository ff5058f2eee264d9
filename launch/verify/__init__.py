"""Whether a checkpoint is what it should be: its files, its tensors, and what the model does."""
