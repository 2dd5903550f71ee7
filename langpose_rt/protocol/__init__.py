"""The wire protocol lprt/1: messages to bytes and back; no sockets, no clock."""
