"""The FastContext loop, with its tools, engines, answers and the scout in subfolders.

Imports neither ``mcp``, ``vllm``, ``launch`` nor ``server``.
"""
