"""What the board shows, worked out from the long table: rows, columns, versions, coverage."""
