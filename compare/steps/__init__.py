"""The lock-step: what is compared in a step and in an epoch, and how a ``fit`` is followed."""
