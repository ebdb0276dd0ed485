"""Training: the loop that all methods share, and what surrounds it.

* `robench.training.loop`: one network, one method, one budget;
* `robench.training.batches`: which images are in which batch;
* `robench.training.schedules`: the learning rate of each step;
* `robench.training.distortion`: training on degraded images;
* `robench.training.evaluate`: the logits of a network;
* `robench.training.checkpoint`: weights and masks on disk.
"""
