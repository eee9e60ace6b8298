"""What all commands print through, and what they do beside their work."""
