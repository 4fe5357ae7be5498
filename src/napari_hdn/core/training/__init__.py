"""Training: a generator of events, in this process or shared by several. Only `processes` knows Fabric.

Every random number of step k comes from (seed, k), so that a run that was stopped and continued
is the unbroken one. A variant that begins with a trained model's weights counts on from its steps.

Several processes share each batch. They draw the same patches and the same noise, take their part of
both, and agree on gradients, losses, batch-norm's statistics, the time and whether to stop: so all
of them hold the run that one process alone would hold, but for rounding.
"""
