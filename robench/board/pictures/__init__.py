"""Pictures of degradations and of published figures, drawn by robench itself."""
