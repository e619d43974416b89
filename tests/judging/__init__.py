"""Writes that are judged by rules."""
