"""`./dev bench`: measures how fast the platform is on this machine, from the client's side, against targets."""
