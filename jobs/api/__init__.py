"""How people see and act on jobs: HTTP views, the WebSocket and server-sent events."""
