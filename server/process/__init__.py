"""The process itself: signals, streams, logging and memory.

Nothing here knows what the process serves.
"""
