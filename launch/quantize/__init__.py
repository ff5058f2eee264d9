"""Making an NVFP4 checkpoint from a BF16 one with NVIDIA's ModelOpt.

torch, transformers and modelopt are imported only when it runs.
"""
