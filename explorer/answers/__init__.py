"""Reads the model's answer and checks its citations.

Sends no requests and runs no tools.
"""
