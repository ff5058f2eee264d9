"""Making the NVFP4 checkpoint of a BF16 model with NVIDIA's ModelOpt.

torch, transformers and modelopt are imported only when it runs.
"""
