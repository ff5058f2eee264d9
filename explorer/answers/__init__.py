"""Reads the model's answer and checks its citations; says what is shown of cited places.

Sends no requests and runs no tools.
"""
