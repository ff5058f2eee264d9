"""The repository that is explored, read-only and never outside its root.

All access to its files goes through here; nothing here knows a model, a tool or a question.
"""
