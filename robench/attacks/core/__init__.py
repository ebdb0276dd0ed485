"""What all attacks stand on: the oracle, its budget of passes, the inputs, the losses."""
