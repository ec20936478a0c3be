"""The engine: accepts AI work, runs it in workers, tells the person, and never loses or doubles it."""
