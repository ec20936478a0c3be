"""The landing assistant: answers visitors' questions from the catalogue and the site's own pages."""
