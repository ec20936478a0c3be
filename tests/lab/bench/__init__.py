"""`./dev bench`: how fast the platform is on this machine, measured from outside, against its targets."""
