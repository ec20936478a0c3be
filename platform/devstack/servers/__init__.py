"""Postgres, Redis and the simulator as local processes."""
