"""Run several servers (lifters) behind one front: routing, hand-over, supervision."""
