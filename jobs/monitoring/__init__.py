"""Figures for /metrics and the checks of `manage.py check`."""
