"""Record a server's traffic and replay it."""
