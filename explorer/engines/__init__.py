"""Engines: whatever serves a model, behind one protocol.

Nothing here knows the repository, the loop or the prompt.
"""
