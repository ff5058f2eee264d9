"""Making the NVFP4 checkpoint of a BF16 model with NVIDIA's ModelOpt.

The only place that imports torch, transformers and modelopt.
"""
