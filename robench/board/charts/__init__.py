"""Parts of charts that several views share."""
