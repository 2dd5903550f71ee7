"""The live service: the wire, its streams, the pipeline, the server and the client library.

Keypoints come in and poses go out here; how a pose is computed is in `runtime` and below.
"""
