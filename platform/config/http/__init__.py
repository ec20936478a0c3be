"""How HTTP requests and sockets are read, bounded and logged, before and beside Django."""
