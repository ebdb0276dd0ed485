"""What all attacks stand on: the oracle, its budget of passes, the problem, the losses."""
