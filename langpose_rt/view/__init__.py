"""Pictures of what was lifted; loaded by the commands that draw, never by the server."""
