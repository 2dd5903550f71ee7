"""Train and evaluate langpose-rt models; run from a checkout, not part of the wheel.

May import langpose_rt; langpose_rt never imports this package.
"""
