"""What distances say: metrics, optimality, and the flags that raise doubts."""
