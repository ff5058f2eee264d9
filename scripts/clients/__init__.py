"""Runs real clients of MCP against a stand-in for their model: ``python -m scripts.clients``.

What the clients show their model, how they cancel and how they end is written into
``docs/clients.md`` and kept in ``tests/data/clients``. The tests use the same stand-in.
"""
