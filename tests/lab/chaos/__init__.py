"""`./dev chaos`: asks questions while processes are killed and calls fail, then checks every guarantee."""
