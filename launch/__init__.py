"""The local engine: its profile, its start, its care. Imports neither mcp nor explorer."""
