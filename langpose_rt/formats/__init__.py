"""Readers and writers of files: keypoint clips, calibrations, poses, motion files and recordings.

Every reader returns checked dataclasses or raises one ConfigError that names the file, what was
found and what was expected. Nothing is unpickled. Messages of the wire are in
`langpose_rt.protocol`.
"""
