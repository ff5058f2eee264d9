"""The training of the reader: mining, training on a GPU, quantization, the fit of the fusion."""
