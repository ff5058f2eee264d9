"""The keeper: the process that owns the engine, restarts it and puts it to sleep.

It imports neither measuring nor quantizing; what it is to start comes as a plan.
"""
