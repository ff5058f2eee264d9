"""The ``fastcontext`` command line.

Arguments in, text out; what a command does lives in the other folders.
"""
