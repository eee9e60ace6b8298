"""One self-contained HTML page of a comparison: the network, its steps, and what was found."""
