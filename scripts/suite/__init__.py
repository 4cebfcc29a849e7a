"""What scripts/iobuf is made of: shared modules here, one module per verb in verbs/."""
