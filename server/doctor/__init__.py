"""``fastcontext doctor``: checks of what an exploration needs.

It looks and tries; it repairs nothing and changes no file.
"""
