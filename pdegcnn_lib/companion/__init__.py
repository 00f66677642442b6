"""The companion: the paper's experiments, pictures and checks. It stands on the library, which never looks at it."""
