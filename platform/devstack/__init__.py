"""What makes a bare machine enough to run the project: embedded servers and an OpenAI simulator."""
