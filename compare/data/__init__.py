"""What a training is given: checked beforehand where it can be, on its way where it can't."""
