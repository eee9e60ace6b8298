"""What rounding does to a number, and the verdict that rests on it."""
