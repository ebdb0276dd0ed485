"""Published figures, each with its source; nothing here was measured by robench."""
