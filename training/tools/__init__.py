"""Small programs that make the bundled files."""
