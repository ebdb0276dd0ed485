"""From a suite to its records: the plan, the engines that carry it out, and their progress."""
