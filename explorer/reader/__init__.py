"""The reader: a small cross-encoder that says how well a definition answers a question.

``words`` makes its tokens, ``passages`` cuts definitions into what it reads at once.
"""
