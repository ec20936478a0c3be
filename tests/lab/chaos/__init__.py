"""`./dev chaos`: questions are asked while everything is killed around them; then every promise is checked."""
