"""Measurements of the project, each a scenario that prints a table and keeps its raw rows."""
