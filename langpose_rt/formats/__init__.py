"""Other people's files: clips of keypoints, calibrations, and the file of lifted poses.

Every reader answers with checked dataclasses or raises one ConfigError that names the file, what
was found and what was expected. Nothing is unpickled. What goes over the wire lives in
`langpose_rt.protocol`.
"""
