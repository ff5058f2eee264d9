"""What to start: the profile for this machine's GPU, the checkpoint and vLLM's command line.

Planning starts nothing and stops nothing.
"""
