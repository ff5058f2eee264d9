"""The keeper: the process that owns the engine, restarts it and puts it to sleep.

It imports neither bench, quantize nor verify; a plan tells it what to start.
"""
