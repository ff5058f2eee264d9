"""One self-contained HTML page that shows a recorded exploration, or two of them side by side.

It reads records and writes HTML; it never asks the explorer.
"""
