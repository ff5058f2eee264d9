"""Measurements on this machine's GPU: engines as the model card measures them, and matmuls.

It starts its own engines and leaves the shared one alone.
"""
