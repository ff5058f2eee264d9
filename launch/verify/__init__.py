"""Checks of an NVFP4 checkpoint: its files, its tensors, and what the model does.

It only reads: it changes neither the checkpoint nor an engine.
"""
