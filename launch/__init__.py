"""The local engine: planned, started, kept, measured, quantized and verified.

It imports neither ``mcp``, ``explorer`` nor ``server``, and vLLM only inside functions that cannot
do without it.
"""
