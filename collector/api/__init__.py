"""The endpoint as the reference page documents it: windows to requests, replies to points or errors."""
