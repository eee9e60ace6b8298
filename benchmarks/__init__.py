"""Side-by-side timings of the hand-written half against its peers, as ratios.

``python -m benchmarks`` runs them; ``benchmarks/rivals.py`` is about other ways of comparing.
"""
