"""Whether a checkpoint is what it should be: its files, its tensors, and what the model does.

It reads and asks; it changes neither the checkpoint nor an engine.
"""
