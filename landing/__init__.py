"""The landing assistant: answers visitors' questions from course offers, the FAQ and the site's pages."""
