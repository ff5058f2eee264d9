"""The FastContext loop at the root; its tools, engines, answers and the scout in folders.

It imports neither ``mcp``, ``vllm``, ``launch`` nor ``server``.
"""
