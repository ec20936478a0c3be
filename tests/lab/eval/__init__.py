"""`./dev eval`: what retrieval and answers are worth, in figures."""
