"""How the engine reaches Postgres, Redis, RQ and OpenAI."""
