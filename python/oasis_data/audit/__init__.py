"""Moves a backend over: finds JSON files that Python sources treat unsafely, and fixes them.

`oasis-data audit` is the command; it needs the extra `cli`. Nothing is imported here, so
that importing the package costs nothing without it.
"""
