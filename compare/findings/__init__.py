"""Which number was wrong first, which side is wrong, and why."""
