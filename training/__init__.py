"""The trainer of langpose-rt; run from a checkout, never part of the wheel.

May import langpose_rt; langpose_rt never imports this package.
"""
