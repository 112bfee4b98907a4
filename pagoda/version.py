"""The version, where every room may read it. Foundation room: imports nothing of pagoda."""

__version__ = "0.1.0"
