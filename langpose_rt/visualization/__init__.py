"""Off-screen drawing of poses."""
