"""The database engine: Django's for Postgres, with a pool that gets over a restart of Postgres at once."""
