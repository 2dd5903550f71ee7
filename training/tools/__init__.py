"""Make the files that are bundled with the package."""
