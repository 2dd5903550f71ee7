"""The live service: wire, streams, pipeline, server and client."""
