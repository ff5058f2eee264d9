"""The FastContext loop, its tools, its citations and the scout. Imports neither mcp nor vllm."""
