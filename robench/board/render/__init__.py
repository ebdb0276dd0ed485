"""The board as a page, a README, text, SVG and CSV."""
