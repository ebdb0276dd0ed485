"""A network as a graph of steps: tracing, what each step does, proofs that two are equal."""
