"""Stages whose work fills a file of its own: what may be asked of each, and what comes out."""
