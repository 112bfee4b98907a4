"""`on_backend.py` is a program for processes of its own: imported here, it would give this one a backend of Keras."""

collect_ignore = ["on_backend.py"]
