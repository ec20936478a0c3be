"""The demo: courses, people, questions, personas and site texts, and what loads them."""
