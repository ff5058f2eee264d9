"""Programs that use the server through a library, each run by the Python that has the library.

They get the stand-in's URL and the server's command as arguments, and ask once.
"""
