"""Tool calls and answers in the text that a model writes.

Pure parsing: no files, no requests, no tools.
"""
