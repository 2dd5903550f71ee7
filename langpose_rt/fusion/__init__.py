"""Several calibrated cameras as one: people in world axes from the keypoints of all of them.

Pure computation, in the order of the work: `time_alignment` brings every camera to one instant,
`identification` says who is who by `association` and `birth`, `triangulation` and `bone_lengths`
make the poses, and `volume` keeps the people. Nothing here knows sockets or reads a clock.
"""
