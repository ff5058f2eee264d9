"""The process itself: signals, streams, logging, memory and imports.

Nothing here knows what the process serves.
"""
