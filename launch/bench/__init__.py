"""Measurements on this machine's GPU: the engine as the model card measures it, and its matmuls.

It starts engines of its own and leaves the shared one alone.
"""
