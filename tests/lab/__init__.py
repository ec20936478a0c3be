"""Measuring and breaking the running platform: ./dev bench, ./dev chaos and ./dev eval."""
