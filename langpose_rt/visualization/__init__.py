"""Pictures of poses, drawn without a display."""
