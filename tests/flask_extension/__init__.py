"""The Flask extension: its catalogue, its conditions, its answers to errors."""
