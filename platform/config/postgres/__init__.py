"""The database engine: Django's for Postgres, with a pool that recovers at once from a restart of Postgres."""
